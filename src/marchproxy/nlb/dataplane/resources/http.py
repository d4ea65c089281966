"""HTTP: a port whose listeners are told apart by each request. Envoy parses, routes to a module type, and changes nothing.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/best_practices/edge
"""

from collections.abc import Sequence
from functools import lru_cache

from envoy.config.core.v3 import protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.matching import route_match, virtual_hosts
from marchproxy.engines.envoy.messages import duration, over_ads, pack
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import Route, RouteMatch
from marchproxy.model.sharing import Port, listener_for
from marchproxy.nlb.dataplane.resources.chains import Chain
from marchproxy.nlb.dataplane.resources.connection_log import access_logs
from marchproxy.nlb.dataplane.resources.filters import limit_filters, network_filter
from marchproxy.nlb.dataplane.resources.naming import cluster_name, routes_name
from marchproxy.nlb.dataplane.resources.observing import Observing, set_tracing
from marchproxy.nlb.dataplane.resources.tcp import decrypt

_HEADERS_SECONDS = 10.0
_REST = "rest"
#: Messages of routes, so that one that changed does not cost all the others.
_REMEMBERED = 32_768


def http_chain(port: Port, chain: Chain, observing: Observing) -> listener_components_pb2.FilterChain:
    """Connections whose requests are routed. Whoever is behind it sees them as they came, by the client's own address."""
    manager = hcm_pb2.HttpConnectionManager(
        stat_prefix=chain.name,
        codec_type=hcm_pb2.HttpConnectionManager.AUTO,
        rds=hcm_pb2.Rds(route_config_name=routes_name(port), config_source=over_ads()),
        http_filters=[
            hcm_pb2.HttpFilter(
                name="envoy.filters.http.router",
                typed_config=pack(router_pb2.Router(suppress_envoy_headers=True)),
            )
        ],
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(enable_trailers=True),
        upgrade_configs=[hcm_pb2.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        # the client's address is the connection's, whatever a header says; and modules are told by PROXY protocol
        use_remote_address=wrappers_pb2.BoolValue(value=True),
        skip_xff_append=True,
        generate_request_id=wrappers_pb2.BoolValue(value=False),
        # as the modules behind it see paths, so that none is routed here by one name and served there by another
        normalize_path=wrappers_pb2.BoolValue(value=True),
        path_with_escaped_slashes_action=hcm_pb2.HttpConnectionManager.UNESCAPE_AND_REDIRECT,
        server_header_transformation=hcm_pb2.HttpConnectionManager.PASS_THROUGH,
        request_headers_timeout=duration(_HEADERS_SECONDS),
        stream_idle_timeout=duration(0),
        access_log=access_logs(observing.log, chain.listener.name, requests=True),
    )
    set_tracing(manager, observing)
    manager.common_http_protocol_options.idle_timeout.CopyFrom(duration(chain.listener.idle_timeout))
    message = listener_components_pb2.FilterChain(
        name=chain.name, filters=[*limit_filters(chain), network_filter("http_connection_manager", manager)]
    )
    decrypt(message, chain)
    return message


def build_routes(port: Port, routes: Sequence[Route]) -> route_pb2.RouteConfiguration:
    """Which listener of the port takes a request: that of the winning route's module type, or the first one."""
    chosen = [(route, listener) for route in routes if (listener := listener_for(port, route)) is not None]
    messages = {
        route.route_id: (_route(route.route_id, route.match, listener.name, listener.balance),)
        for route, listener in chosen
    }
    rest = _route(_REST, RouteMatch(), port.first.name, port.first.balance)
    configuration = route_pb2.RouteConfiguration(name=routes_name(port), ignore_port_in_host_matching=True)
    configuration.virtual_hosts.extend(virtual_hosts([route for route, _ in chosen], messages, rest=rest))
    return configuration


@lru_cache(maxsize=_REMEMBERED)
def _route(name: str, match: RouteMatch, listener: str, balance: BalancePolicy) -> route_components_pb2.Route:
    """The message is shared: whoever takes it copies it."""
    action = route_components_pb2.RouteAction(
        cluster=cluster_name(listener),
        timeout=duration(0),
        idle_timeout=duration(0),
        retry_policy=_RETRY,
    )
    if balance is BalancePolicy.SOURCE_HASH:
        by_source = route_components_pb2.RouteAction.HashPolicy.ConnectionProperties(source_ip=True)
        action.hash_policy.add(connection_properties=by_source)
    return route_components_pb2.Route(name=name, match=route_match(match), route=action)


# what an instance refused before it saw anything is offered to another
_RETRY = route_components_pb2.RetryPolicy(
    retry_on="connect-failure,refused-stream",
    num_retries=wrappers_pb2.UInt32Value(value=2),
    host_selection_retry_max_attempts=32,
    retry_host_predicate=[
        route_components_pb2.RetryPolicy.RetryHostPredicate(
            name="envoy.retry_host_predicates.previous_hosts",
            typed_config=pack(previous_hosts_pb2.PreviousHostsPredicate()),
        )
    ],
)
