"""Connection log: one JSON line for each connection that ended, written by Envoy, for a share of them.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage
"""

from dataclasses import dataclass
from pathlib import Path

from envoy.config.accesslog.v3 import accesslog_pb2

from marchproxy.engines.envoy.access_log import json_lines, share

#: Changing it in Envoy's admin API changes the share until the next restart.
RUNTIME_KEY = "marchproxy.connection_log"
_FIELDS = {
    "time": "%START_TIME%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "server_name": "%REQUESTED_SERVER_NAME%",
    "instance": "%UPSTREAM_HOST_NAME%",
    "endpoint": "%UPSTREAM_HOST%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "flags": "%RESPONSE_FLAGS%",
    "reason": "%DOWNSTREAM_LOCAL_CLOSE_REASON%",
}
# which listener of a port it was is known when a request is routed
_OF_REQUESTS = {
    "listener": "%CLUSTER_METADATA(marchproxy:listener)%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ)%",
    "status": "%RESPONSE_CODE%",
    "trace_id": "%TRACE_ID%",
}


@dataclass(frozen=True, slots=True)
class ConnectionLog:
    """Where lines go, and of how many connections: `percent` of them, to a ten-thousandth."""

    path: Path
    percent: float = 100.0


def access_logs(
    log: ConnectionLog | None, listener: str, *, requests: bool = False, **fixed: str
) -> list[accesslog_pb2.AccessLog]:
    """The log of one listener, or none. `requests`: a line is an HTTP request. `fixed`: fields that are known."""
    if log is None:
        return []
    fields = {"listener": listener, **_FIELDS, **(_OF_REQUESTS if requests else {}), **fixed}
    return [json_lines(str(log.path), fields, share(log.percent, RUNTIME_KEY))]
