"""Written: what an Envoy has written down of the ends of requests, for a decider that takes over from one that died. Pure."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from envoy.data.accesslog.v3 import accesslog_pb2

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.settling.entries import Told, told_by

_NUMBER = re.compile(b'"%b":"([0-9]{1,19})"' % asking.ID.encode())


@dataclass(frozen=True, slots=True)
class Search:
    """For requests with numbers below `below` that are not among `settled` and ended at `since` or later, in seconds."""

    below: int
    settled: Collection[int]
    since: float

    def find(self, line: bytes) -> Told | None:
        """What a line says of such a request. What is garbled says nothing: the host's power may have torn it."""
        number = _NUMBER.search(line)
        if number is None or int(number[1]) >= self.below or int(number[1]) in self.settled:
            return None
        try:
            found = json.loads(line)
            return told_by(_entry(found)) if float(found[asking.WRITTEN_AT]) >= self.since else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def _entry(found: dict[str, Any]) -> Any:
    """As Envoy reports it otherwise."""
    entry = accesslog_pb2.HTTPAccessLogEntry()
    common, response = entry.common_properties, entry.response
    for space, name in ((asking.AUTHZ, asking.WRITTEN_TOLD), (asking.USAGE, asking.WRITTEN_USED)):
        if name in found:
            common.metadata.filter_metadata[space].update(found[name])
    common.upstream_cluster = found.get("cluster", "")
    common.upstream_request_attempt_count = found.get("attempts", 0)
    common.duration.FromMilliseconds(found.get("milliseconds", 0))
    common.custom_tags[asking.FIRST_BYTE] = str(found.get(asking.FIRST_BYTE, ""))
    host, _, port = found.get("host", "").rpartition(":")
    if port.isdecimal():
        address = common.upstream_remote_address.socket_address
        address.address, address.port_value = host.strip("[]"), int(port)
    flags = found.get("flags", "").split(",")
    common.response_flags.downstream_connection_termination = "DC" in flags
    common.response_flags.upstream_connection_termination = "UC" in flags
    entry.request.request_id = found.get("request_id", "")
    response.response_code.value = found.get("status", 0)
    response.response_code_details = found.get("details", "")
    response.response_body_bytes = found.get("sent", 0)
    if "refused" in found:
        response.response_headers[asking.PROVIDER_STATUS] = found["refused"]
    return entry
