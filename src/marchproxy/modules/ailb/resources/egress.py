"""Egress: a listener for relays, by which they reach pools as Envoy reaches them: with TLS, by host name, with a credential.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/listener/v3/listener.proto
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.header_to_metadata.v3 import header_to_metadata_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.resources.deciding import TOLD
from marchproxy.modules.ailb.resources.typed import on

#: The listener's name.
EGRESS = "egress"

_MODE = 0o600
_Manager = hcm_pb2.HttpConnectionManager
# the relay has put the model's name in already
_TOLD = (asking.HOST, asking.PATH)


def egress_listener(socket: Path) -> Any:
    """The listener. The relay names the cluster; nothing here ends an answer that takes long, the relay does."""
    manager = _Manager(
        stat_prefix=EGRESS,
        codec_type=_Manager.HTTP1,
        route_config=_routes(),
        http_filters=list(_filters()),
        generate_request_id=wrappers_pb2.BoolValue(value=False),
        stream_idle_timeout=duration(0),
        delayed_close_timeout=duration(0),
    )
    chain = listener_components_pb2.FilterChain(
        filters=[
            listener_components_pb2.Filter(
                name="envoy.filters.network.http_connection_manager", typed_config=pack(manager)
            )
        ]
    )
    return listener_pb2.Listener(
        name=EGRESS,
        address=address_pb2.Address(pipe=address_pb2.Pipe(path=str(socket), mode=_MODE)),
        filter_chains=[chain],
    )


def _routes() -> Any:
    action = route_components_pb2.RouteAction(
        cluster_header=asking.CLUSTER,
        timeout=duration(0),
        idle_timeout=duration(0),
        auto_host_rewrite=wrappers_pb2.BoolValue(value=True),
    )
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"), route=action)
    everything = route_components_pb2.VirtualHost(name="*", domains=["*"], routes=[route])
    return route_pb2.RouteConfiguration(name=EGRESS, virtual_hosts=[everything])


def _filters() -> Iterator[Any]:
    rules = [
        header_to_metadata_pb2.Config.Rule(
            header=name,
            on_header_present=header_to_metadata_pb2.Config.KeyValuePair(
                metadata_namespace=TOLD, key=name, type="STRING"
            ),
            remove=True,
        )
        for name in _TOLD
    ]
    yield on("envoy.filters.http.header_to_metadata", header_to_metadata_pb2.Config(request_rules=rules))
    yield on("envoy.filters.http.router", router_pb2.Router(suppress_envoy_headers=True))
