"""Access log: one JSON line for each request that ended. Its fields are in our words: routes by id, pools by name.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from marchproxy.engines.envoy.access_log import any_of, json_lines, share, slower_than, status_from

_KEY = "marchproxy.access_log"

#: What is logged where nothing else is asked for. The path is without its query, which may hold secrets.
USUAL: Mapping[str, str] = MappingProxyType(
    {
        "time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "host": "%REQ(:AUTHORITY)%",
        "path": "%PATH(NQ)%",
        "protocol": "%PROTOCOL%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS_LONG%",
        "route": "%ROUTE_NAME%",
        "pool": "%CLUSTER_METADATA(marchproxy:pool)%",
        "endpoint": "%UPSTREAM_HOST%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
        "backend_ms": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "user_agent": "%REQ(USER-AGENT)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "trace_id": "%TRACE_ID%",
        "tls_version": "%DOWNSTREAM_TLS_VERSION%",
        "server_name": "%REQUESTED_SERVER_NAME%",
    }
)
#: All fields that have a name.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        **USUAL,
        "query": "%QUERY_PARAMS(ORIG)%",
        "referer": "%REQ(REFERER)%",
        "forwarded_for": "%REQ(X-FORWARDED-FOR)%",
        "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
        "listening": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "connection": "%CONNECTION_ID%",
        "reason": "%RESPONSE_CODE_DETAILS%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "backend_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "backend_protocol": "%UPSTREAM_PROTOCOL%",
        "request_ms": "%REQUEST_DURATION%",
        "grpc_status": "%GRPC_STATUS%",
        "span_id": "%SPAN_ID%",
        "tls_cipher": "%DOWNSTREAM_TLS_CIPHER%",
        "client_certificate": "%DOWNSTREAM_PEER_SUBJECT%",
    }
)


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Where lines go, what is in them, and of which requests: `percent`, and all that are as bad as the last two say.

    `fields` are names and texts with Envoy's %COMMANDS%. `slower_than` in seconds.
    """

    path: str
    fields: tuple[tuple[str, str], ...] = tuple(USUAL.items())
    percent: float = 100.0
    status_from: int | None = None
    slower_than: float | None = None


def access_logs(log: AccessLog | None) -> Iterator[Any]:
    """The log of a listener, or none."""
    if log is not None:
        yield json_lines(log.path, dict(log.fields), any_of(*_wanted(log)))


def _wanted(log: AccessLog) -> Iterator[Any]:
    yield share(log.percent, _KEY)
    if log.status_from is not None:
        yield status_from(log.status_from, f"{_KEY}.status_from")
    if log.slower_than is not None:
        yield slower_than(log.slower_than, f"{_KEY}.slower_than_ms")
