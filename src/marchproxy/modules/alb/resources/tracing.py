"""Tracing of the ALB's requests: what their spans are called and tagged with, and the id that a request keeps.

https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/observability/tracing
"""

from types import MappingProxyType
from typing import Any

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.engines.envoy.tracing import RequestTracing, trace_requests

_TAGS = MappingProxyType(
    {
        "marchproxy.route": "%ROUTE_NAME%",
        "marchproxy.pool": "%CLUSTER_METADATA(marchproxy:pool)%",
    }
)
_NO = wrappers_pb2.BoolValue(value=False)


def set_tracing(manager: Any, tracing: RequestTracing | None) -> None:
    """Trace, where that is wanted. A request has an id in any case: its own, or one that is made."""
    manager.preserve_external_request_id = True
    # an id that a client chose says nothing about whether it is traced, and is not written over to say so
    ids = uuid_pb2.UuidRequestIdConfig(pack_trace_reason=_NO, use_request_id_for_trace_sampling=_NO)
    manager.request_id_extension.CopyFrom(hcm_pb2.RequestIDExtension(typed_config=pack(ids)))
    if tracing is not None:
        trace_requests(manager, tracing, _TAGS)
