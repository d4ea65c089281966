"""Entries: what an Envoy's access log says of the end of a request, as a report. Pure.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/data/accesslog/v3/accesslog.proto
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envoy.data.accesslog.v3 import accesslog_pb2

from marchproxy.model.ai import Dialect
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.dialects.usage import MOST_TOKENS, of_answer
from marchproxy.modules.ailb.settling.report import Ending, Report

_VIA_UPSTREAM = "via_upstream"
_FIRST_FAULT = 400
_REFUSED = {str(status) for status in asking.REFUSED}
_MICRO = 1e-6
_LONGEST_NUMBER = 19
_DIALECTS = {operation.value: operation.dialect for operation in Operation}
_PERIODIC = accesslog_pb2.DownstreamPeriodic
_DECIDED = (asking.WHO, asking.OPERATION, asking.MODEL, asking.STREAM)


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry says: the report, whether the last attempt was a relay's, and what was let pass, in the words of the
    decision (`fields` of METADATA, WHO and REQUEST_ID). `is_over`: it has ended; if not, only that it is under way is of any use."""

    report: Report
    relayed: bool
    fields: Mapping[str, str] = field(default_factory=dict)
    is_over: bool = True


def told_by(entry: Any) -> Told | None:
    """What an HTTPAccessLogEntry says; None: the request was not let pass, or never asked about."""
    common = entry.common_properties
    metadata = common.metadata.filter_metadata
    if asking.AUTHZ not in metadata:
        return None
    decided = metadata[asking.AUTHZ].fields
    number = decided[asking.ID].string_value if asking.ID in decided else ""
    if not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER):
        return None
    cluster = common.upstream_cluster
    relayed = cluster.startswith(asking.RELAY_PREFIX)
    pool = cluster.partition(".")[2] if relayed or cluster.startswith(asking.POOL_PREFIX) else ""
    status = _status(entry.response)
    first = common.custom_tags.get(asking.FIRST_BYTE, "")
    report = Report(
        int(number),
        _ending(entry, cluster, status),
        pool,
        _host(common.upstream_remote_address),
        status,
        _usage(metadata[asking.USAGE].fields, decided) if asking.USAGE in metadata else None,
        first_token=int(first) * _MICRO if first.isdigit() else None,
        duration=common.duration.ToNanoseconds() * 1e-9 if common.HasField("duration") else None,
        attempts=max(1, common.upstream_request_attempt_count),
        size=entry.response.response_body_bytes,
    )
    fields = {name: decided[name].string_value for name in _DECIDED if name in decided}
    fields[asking.REQUEST_ID] = entry.request.request_id
    return Told(report, relayed, fields, common.access_log_type != _PERIODIC)


def left_by(entry: Any) -> str:
    """The id of a request whose client has gone before Envoy was told anything; empty: it is none of these."""
    common = entry.common_properties
    is_answered = asking.AUTHZ in common.metadata.filter_metadata
    return "" if is_answered or common.access_log_type == _PERIODIC else str(entry.request.request_id)


def _status(response: Any) -> int:
    """The provider's: where it refused our credential the client was told another."""
    refused = response.response_headers.get(asking.PROVIDER_STATUS, "")
    return int(refused) if refused in _REFUSED else response.response_code.value


def _ending(entry: Any, cluster: str, status: int) -> Ending:
    details, flags = entry.response.response_code_details, entry.common_properties.response_flags
    if cluster == asking.OWN_CLUSTER:
        return Ending.OWN
    if flags.downstream_connection_termination or details.startswith("downstream") or not status:
        return Ending.CLIENT_GONE
    if details.startswith("upstream_reset_after_response_started") or (
        details == _VIA_UPSTREAM and flags.upstream_connection_termination
    ):
        return Ending.BROKEN
    if details != _VIA_UPSTREAM and asking.PROVIDER_STATUS not in entry.response.response_headers:
        # ours after the head had gone out, or in place of an answer
        return Ending.BROKEN if status < _FIRST_FAULT else Ending.UNREACHED
    return Ending.REFUSED if status >= _FIRST_FAULT else Ending.COMPLETE


def _usage(fields: Any, decided: Any) -> Usage | None:
    if asking.USAGE_TEXT not in fields:
        return _of_events(fields)
    # no relay translated it, so it is of the API that was asked
    name = decided[asking.OPERATION].string_value if asking.OPERATION in decided else ""
    text = fields[asking.USAGE_TEXT].string_value.encode()
    return of_answer(_DIALECTS.get(name, Dialect.OPENAI), b'{"usage":%b}' % text)


def _of_events(fields: Any) -> Usage | None:
    """OpenAI counts cached tokens within the others, Anthropic beside them; neither uses the other's names for that."""
    told = {name: _tokens(fields[name].number_value) for name in asking.USAGE_MEMBERS if name in fields}
    if not told:
        return None
    beside = told.get("cache_read_input_tokens", 0)
    read = told.get("prompt_tokens") or (
        told.get("input_tokens", 0) + beside + told.get("cache_creation_input_tokens", 0)
    )
    written = told.get("completion_tokens") or told.get("output_tokens", 0)
    return Usage(read, written, min(read, told.get("cached_tokens") or beside))


def _tokens(said: float) -> int:
    """0 for what is no number of tokens, infinity and the like included."""
    return int(said) if 0 < said < MOST_TOKENS else 0


def _host(address: Any) -> str:
    place = address.socket_address
    if not place.address:
        return ""
    host = f"[{place.address}]" if ":" in place.address else place.address
    return f"{host}:{place.port_value}"
