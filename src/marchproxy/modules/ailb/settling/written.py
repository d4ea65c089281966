"""Written: what an Envoy has written down of the ends of requests, for a decider that takes over from one that died. Pure."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from envoy.data.accesslog.v3 import accesslog_pb2

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.settling.entries import Told, told_by

_MISSING = "-"
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
        fields = line.decode("latin-1").rstrip("\n").split("\t")
        try:
            found = dict(zip(asking.WRITTEN, fields, strict=True))
            return told_by(_entry(found)) if int(found["at"]) >= self.since else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def _entry(found: dict[str, str]) -> Any:
    """As Envoy reports it otherwise."""
    entry = accesslog_pb2.HTTPAccessLogEntry()
    common, response = entry.common_properties, entry.response
    for space, name in ((asking.AUTHZ, "told"), (asking.USAGE, "used")):
        if found[name] != _MISSING:
            common.metadata.filter_metadata[space].update(json.loads(found[name].encode("latin-1")))
    common.upstream_cluster = found["cluster"]
    common.upstream_request_attempt_count = _number(found["attempts"])
    common.duration.FromMilliseconds(_number(found["milliseconds"]))
    common.custom_tags[asking.FIRST_BYTE] = found[asking.FIRST_BYTE]
    host, _, port = found["host"].rpartition(":")
    if port.isdecimal():
        address = common.upstream_remote_address.socket_address
        address.address, address.port_value = host.strip("[]"), int(port)
    flags = found["flags"].split(",")
    common.response_flags.downstream_connection_termination = "DC" in flags
    common.response_flags.upstream_connection_termination = "UC" in flags
    entry.request.request_id = found[asking.REQUEST_ID]
    response.response_code.value = _number(found["status"])
    response.response_code_details = found["details"]
    response.response_body_bytes = _number(found["sent"])
    if found["refused"] != _MISSING:
        response.response_headers[asking.PROVIDER_STATUS] = found["refused"]
    return entry


def _number(text: str) -> int:
    """Raises ValueError."""
    return 0 if text == _MISSING else int(text)
