"""Own clusters: our processes as Envoy reaches them, over Unix sockets.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/cluster.proto
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.modules.ailb.resources.typed import on

#: The decider, as it is asked about requests, and as it is told of their ends.
DECIDER, REPORTS = "marchproxy.decider", "marchproxy.reports"
#: The key of a cluster's options for HTTP.
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
Options = http_protocol_options_pb2.HttpProtocolOptions

_CONNECT_SECONDS = 1.0
_UNLIMITED = 2**31 - 1
# of a relay's answers: as much may be under way for one client, and for all of a connection together
_STREAM_WINDOW = 1 << 20
_CONNECTION_WINDOW = 1 << 30
_MOST_STREAMS = 1000
# Bytes of reports that wait outside the access log, which keeps more of them: these are lost with the connection.
_REPORTED = 16 * 1024


def http1() -> Any:
    """HTTP/1.1."""
    return Options(
        explicit_http_config=Options.ExplicitHttpConfig(
            http_protocol_options=protocol_pb2.Http1ProtocolOptions()
        )
    )


def http2() -> Any:
    """HTTP/2 without asking."""
    return Options(
        explicit_http_config=Options.ExplicitHttpConfig(
            http2_protocol_options=protocol_pb2.Http2ProtocolOptions(
                initial_stream_window_size=wrappers_pb2.UInt32Value(value=_STREAM_WINDOW),
                initial_connection_window_size=wrappers_pb2.UInt32Value(value=_CONNECTION_WINDOW),
                max_concurrent_streams=wrappers_pb2.UInt32Value(value=_MOST_STREAMS),
            )
        )
    )


def own_cluster(name: str, sockets: Sequence[Path], options: Any, filters: Iterable[Any] = ()) -> Any:
    """A cluster of these sockets. `filters`: HttpFilters of each attempt, the codec's own left out."""
    endpoints = [
        endpoint_components_pb2.LbEndpoint(
            endpoint=endpoint_components_pb2.Endpoint(
                address=address_pb2.Address(pipe=address_pb2.Pipe(path=str(socket)))
            )
        )
        for socket in sockets
    ]
    cluster = cluster_pb2.Cluster(
        name=name,
        connect_timeout=duration(_CONNECT_SECONDS),
        type=cluster_pb2.Cluster.STATIC,
        lb_policy=cluster_pb2.Cluster.LEAST_REQUEST,
        circuit_breakers=_no_ceilings(),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=endpoints)],
        ),
    )
    if name == REPORTS:
        cluster.per_connection_buffer_limit_bytes.value = _REPORTED
    add_filters(options, filters)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    return cluster


def add_filters(options: Any, filters: Iterable[Any]) -> None:
    """Filters of each attempt, and behind them the codec, which must be named where there is one."""
    found = list(filters)
    if found:
        options.http_filters.extend([*found, _codec()])


def _codec() -> Any:
    return on("envoy.filters.http.upstream_codec", upstream_codec_pb2.UpstreamCodec())


def _no_ceilings() -> Any:
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds
    most = wrappers_pb2.UInt32Value(value=_UNLIMITED)
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            thresholds(max_connections=most, max_pending_requests=most, max_requests=most, max_retries=most)
        ]
    )
