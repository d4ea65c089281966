"""The ALB's listeners: one for plain connections, one that requires PROXY protocol v2 from the NLB.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/best_practices/edge
"""

from dataclasses import dataclass
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.matching import connection_values
from marchproxy.engines.envoy.messages import cidr, duration, over_ads, pack, socket_address
from marchproxy.modules.alb.resources.filters import http_filters

#: Prefix of the HTTP connection managers' statistics.
STAT_PREFIX = "alb"


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """A listener of the ALB. With `proxy_sources` (CIDRs) it requires PROXY protocol v2, from those addresses only."""

    name: str
    host: str
    port: int
    proxy_sources: tuple[str, ...] = ()


def build_listener(spec: ListenerSpec, route_configuration: str, *, shared_port: bool = False) -> Any:
    """The listener, its routes taken from the named route configuration over ADS.

    `shared_port`: every worker has a socket of its own. With one worker the port is not shared, so that no other
    process can slip onto it.
    """
    chain = listener_components_pb2.FilterChain(
        filters=[
            listener_components_pb2.Filter(
                name="marchproxy.connection",
                typed_config=pack(set_filter_state_pb2.Config(on_new_connection=connection_values())),
            ),
            listener_components_pb2.Filter(
                name="envoy.filters.network.http_connection_manager",
                typed_config=pack(_connection_manager(route_configuration)),
            ),
        ]
    )
    listener = listener_pb2.Listener(
        name=spec.name,
        address=socket_address(spec.host, spec.port),
        filter_chains=[chain],
        enable_reuse_port=wrappers_pb2.BoolValue(value=shared_port),
    )
    if spec.proxy_sources:
        # the connection's own peer, not the address that the PROXY header claims
        chain_match = listener.filter_chains[0].filter_chain_match
        chain_match.direct_source_prefix_ranges.extend(cidr(network) for network in spec.proxy_sources)
        listener.listener_filters.append(_proxy_protocol())
        listener.listener_filters_timeout.CopyFrom(duration(5))
    return listener


def _proxy_protocol() -> Any:
    config = proxy_protocol_pb2.ProxyProtocol(disallowed_versions=["V1"], stat_prefix=STAT_PREFIX)
    return listener_components_pb2.ListenerFilter(
        name="envoy.filters.listener.proxy_protocol", typed_config=pack(config)
    )


def _connection_manager(route_configuration: str) -> Any:
    return hcm_pb2.HttpConnectionManager(
        stat_prefix=STAT_PREFIX,
        codec_type=hcm_pb2.HttpConnectionManager.AUTO,
        rds=hcm_pb2.Rds(
            route_config_name=route_configuration,
            config_source=over_ads(),
        ),
        http_filters=http_filters(),
        use_remote_address=wrappers_pb2.BoolValue(value=True),
        normalize_path=wrappers_pb2.BoolValue(value=True),
        path_with_escaped_slashes_action=hcm_pb2.HttpConnectionManager.UNESCAPE_AND_REDIRECT,
        server_header_transformation=hcm_pb2.HttpConnectionManager.PASS_THROUGH,
        request_headers_timeout=duration(30),
    )
