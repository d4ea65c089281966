"""Observing: what is told of connections and requests while they are served."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from marchproxy.engines.envoy.tracing import RequestTracing, trace_requests
from marchproxy.nlb.dataplane.resources.connection_log import ConnectionLog

_TAGS = MappingProxyType(
    {
        "marchproxy.route": "%ROUTE_NAME%",
        "marchproxy.listener": "%CLUSTER_METADATA(marchproxy:listener)%",
        "marchproxy.instance": "%UPSTREAM_HOST_NAME%",
    }
)


@dataclass(frozen=True, slots=True)
class Observing:
    """A log line for each connection, spans for each request, or for a share of them; by default neither."""

    log: ConnectionLog | None = None
    tracing: RequestTracing | None = None


def set_tracing(manager: Any, observing: Observing) -> None:
    """Have an HTTP connection manager trace, where that is wanted."""
    if observing.tracing is not None:
        trace_requests(manager, observing.tracing, _TAGS)
