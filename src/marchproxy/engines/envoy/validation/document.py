"""Document: pieces as the static bootstrap that an Envoy in validation mode is given. No I/O.

What a piece names and what is not to be judged with it stays a reference to the control plane, which nobody calls.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2

from marchproxy.engines.envoy.messages import duration, pack, socket_address
from marchproxy.engines.envoy.validation.credentials import stand_in_credential, taken_from_hand
from marchproxy.engines.envoy.validation.pieces import Piece
from marchproxy.engines.envoy.xds.kinds import ResourceType

_NOWHERE = "127.255.255.254"  # no listener of anybody; nothing listens in validation
_TLS = "envoy.transport_sockets.tls"
_Manager = hcm_pb2.HttpConnectionManager


def base(bootstrap: bytes) -> str:
    """What the pieces are judged beside: the bootstrap of the Envoy they are for, without the ports and files it opens."""
    document = json.loads(bootstrap)
    for key in ("admin", "overload_manager", "stats_sinks"):
        document.pop(key, None)
    dynamic = document.get("dynamic_resources", {})
    for key in ("cds_config", "lds_config"):
        dynamic.pop(key, None)
    layers = document.get("layered_runtime", {}).get("layers", [])
    document["layered_runtime"] = {"layers": [layer for layer in layers if "rtds_layer" not in layer]}
    return json.dumps(document)


def render(pieces: Iterable[Piece], clusters: Sequence[bytes] = ()) -> bytes:
    """The pieces as a Bootstrap. `clusters` are others that they need at hand, as serialised clusters."""
    bootstrap = bootstrap_pb2.Bootstrap()
    static = bootstrap.static_resources
    routes: dict[tuple[str, tuple[bytes, ...]], list[bytes]] = {}
    given: set[str] = set()
    credentials: set[str] = set()
    for piece in pieces:
        match piece.type:
            case ResourceType.CLUSTER:
                given.add(piece.name)
                cluster = cluster_pb2.Cluster.FromString(piece.body)
                credentials.update(taken_from_hand(cluster))
                static.clusters.append(cluster)
            case ResourceType.ENDPOINT:
                static.clusters.append(_holding(piece, len(static.clusters)))
            case ResourceType.SECRET:
                secret = secret_pb2.Secret.FromString(piece.body)
                static.secrets.append(secret)
                static.clusters.append(_using(secret, len(static.clusters)))
            case ResourceType.LISTENER:
                static.listeners.append(listener_pb2.Listener.FromString(piece.body))
            case ResourceType.EXTENSION:
                static.listeners.append(_filtering(piece, len(static.listeners)))
            case ResourceType.ROUTE if piece.is_route:
                routes.setdefault((piece.name, piece.beside), []).append(piece.body)
            case ResourceType.ROUTE:
                configuration = route_pb2.RouteConfiguration.FromString(piece.body)
                static.listeners.append(_serving(configuration, piece.beside, len(static.listeners)))
            case _:
                raise ValueError(f"{piece.type.name.lower()} {piece.name} cannot be judged by itself")
    for (_, beside), bodies in routes.items():
        static.listeners.append(_serving(_all_of(bodies), beside, len(static.listeners)))
    others = map(cluster_pb2.Cluster.FromString, clusters)
    static.clusters.extend(cluster for cluster in others if cluster.name not in given)
    credentials -= {secret.name for secret in static.secrets}
    static.secrets.extend(map(stand_in_credential, sorted(credentials)))
    content: bytes = bootstrap.SerializeToString()
    return content


def stand_in(name: str) -> bytes:
    """A cluster of that name, for what only asks whether there is one."""
    content: bytes = cluster_pb2.Cluster(name=name, connect_timeout=duration(1)).SerializeToString()
    return content


def _holding(piece: Piece, number: int) -> Any:
    assignment = endpoint_pb2.ClusterLoadAssignment.FromString(piece.body)
    return cluster_pb2.Cluster(
        name=f"endpoints-{number}", connect_timeout=duration(1), load_assignment=assignment
    )


def _using(secret: Any, number: int) -> Any:
    """Envoy looks into a secret when something uses it."""
    tls = tls_pb2.CommonTlsContext()
    source = secret_pb2.SdsSecretConfig(name=secret.name)
    if secret.HasField("validation_context"):
        tls.validation_context_sds_secret_config.CopyFrom(source)
    elif secret.HasField("tls_certificate"):
        tls.tls_certificate_sds_secret_configs.append(source)
    cluster = cluster_pb2.Cluster(name=f"secret-{number}", connect_timeout=duration(1))
    cluster.transport_socket.name = _TLS
    cluster.transport_socket.typed_config.CopyFrom(pack(tls_pb2.UpstreamTlsContext(common_tls_context=tls)))
    return cluster


def _all_of(routes: Iterable[bytes]) -> Any:
    host = route_components_pb2.VirtualHost(name="all", domains=["*"])
    host.routes.extend(map(route_components_pb2.Route.FromString, routes))
    return route_pb2.RouteConfiguration(name="all", virtual_hosts=[host])


def _serving(configuration: Any, filters: Iterable[bytes], number: int) -> Any:
    """A listener for a route configuration and nothing else."""
    configuration.validate_clusters.value = False  # that they exist is what a consistent snapshot says
    manager = _Manager(stat_prefix="validation", route_config=configuration)
    manager.http_filters.extend(map(hcm_pb2.HttpFilter.FromString, filters))
    if not manager.http_filters:
        manager.http_filters.append(_router())
    chain = listener_components_pb2.FilterChain(
        filters=[listener_components_pb2.Filter(name="http", typed_config=pack(manager))]
    )
    return listener_pb2.Listener(
        name=f"routes-{number}", address=socket_address(_NOWHERE, 1 + number), filter_chains=[chain]
    )


def _filtering(piece: Piece, number: int) -> Any:
    """A listener with the filter that the configuration is of, in front of no routes."""
    extension = extension_pb2.TypedExtensionConfig.FromString(piece.body)
    one = hcm_pb2.HttpFilter(name=extension.name, typed_config=extension.typed_config)
    filters = (one.SerializeToString(), _router().SerializeToString())
    return _serving(route_pb2.RouteConfiguration(name="none"), filters, number)


def _router() -> Any:
    router = extension_pb2.TypedExtensionConfig()
    router.typed_config.type_url = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    return hcm_pb2.HttpFilter(name="envoy.filters.http.router", typed_config=router.typed_config)
