"""Tracing of the ALB's requests: what their spans are called and tagged with, and the id that a request keeps.

https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/observability/tracing
"""

from types import MappingProxyType
from typing import Any

from marchproxy.engines.envoy.tracing import RequestTracing, leave_request_ids, trace_requests

_TAGS = MappingProxyType(
    {
        "marchproxy.route": "%ROUTE_NAME%",
        "marchproxy.pool": "%CLUSTER_METADATA(marchproxy:pool)%",
    }
)


def set_tracing(manager: Any, tracing: RequestTracing | None) -> None:
    """Trace, where that is wanted. A request has an id in any case: its own, or one that is made."""
    manager.preserve_external_request_id = True
    leave_request_ids(manager)
    if tracing is not None:
        trace_requests(manager, tracing, _TAGS)
