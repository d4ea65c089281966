"""The ALB's listeners: for plain connections, for TLS, for QUIC, and behind PROXY protocol v2 from the NLB.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/best_practices/edge
"""

from collections.abc import Iterator
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.matching import connection_values
from marchproxy.engines.envoy.messages import cidr, duration, pack, socket_address
from marchproxy.modules.http.extension import NOTHING_ADDED, Extension
from marchproxy.modules.http.resources.connection_manager import (
    STAT_PREFIX,
    Speech,
    redirecting_manager,
    serving_manager,
)
from marchproxy.modules.http.resources.downstream_tls import DownstreamTls, quic_socket, tls_socket
from marchproxy.modules.http.resources.listener_spec import ListenerSpec
from marchproxy.modules.http.resources.quic import quic_options

_PROXY_HEADER_SECONDS = 5.0
_HANDSHAKE_SECONDS = 10.0


def build_listener(
    spec: ListenerSpec,
    route_configuration: str,
    *,
    shared_port: bool = False,
    extension: Extension = NOTHING_ADDED,
) -> Any:
    """The listener, its routes taken from the named route configuration over ADS.

    `shared_port`: every worker has a socket of its own. With one worker the port is not shared, so that no other
    process can slip onto it.
    """
    listener = listener_pb2.Listener(
        name=spec.name,
        address=socket_address(spec.host, spec.port),
        filter_chains=_chains(spec, route_configuration, extension),
        enable_reuse_port=wrappers_pb2.BoolValue(value=shared_port),
    )
    if spec.quic:
        listener.address.socket_address.protocol = "UDP"
        listener.udp_listener_config.CopyFrom(quic_options())
    if spec.proxy_sources:
        # the connection's own peer, not the address that the PROXY header claims
        for chain in listener.filter_chains:
            networks = (cidr(network) for network in spec.proxy_sources)
            chain.filter_chain_match.direct_source_prefix_ranges.extend(networks)
        listener.listener_filters.append(_proxy_protocol())
        listener.listener_filters_timeout.CopyFrom(duration(_PROXY_HEADER_SECONDS))
    extension.extend_listener(listener)
    return listener


def _chains(spec: ListenerSpec, route_configuration: str, extension: Extension) -> Iterator[Any]:
    if spec.tls is not None:
        yield _secure_chain(spec, spec.tls, route_configuration, extension)
        return
    for port in spec.tls_ended_ports:
        speech = Speech(
            tls_ended_before=True,
            headers=spec.secure_headers,
            underscores=spec.underscores,
            observing=spec.observing,
            extension=extension,
        )
        chain = _chain(serving_manager(speech, route_configuration))
        chain.filter_chain_match.destination_port.value = port
        yield chain
    speech = Speech(underscores=spec.underscores, observing=spec.observing, extension=extension)
    if spec.redirect_port:
        yield _chain(redirecting_manager(speech, spec.redirect_port))
    else:
        yield _chain(serving_manager(speech, route_configuration))


def _secure_chain(
    spec: ListenerSpec, tls: DownstreamTls, route_configuration: str, extension: Extension
) -> Any:
    speech = Speech(
        over_quic=spec.quic,
        client_certificates=bool(tls.client_ca),
        headers=spec.secure_headers,
        underscores=spec.underscores,
        observing=spec.observing,
        extension=extension,
    )
    chain = _chain(serving_manager(speech, route_configuration))
    chain.transport_socket.CopyFrom(quic_socket(tls) if spec.quic else tls_socket(tls))
    if not spec.quic:
        chain.transport_socket_connect_timeout.CopyFrom(duration(_HANDSHAKE_SECONDS))
    return chain


def _chain(manager: Any) -> Any:
    return listener_components_pb2.FilterChain(
        filters=[
            listener_components_pb2.Filter(
                name="marchproxy.connection",
                typed_config=pack(set_filter_state_pb2.Config(on_new_connection=connection_values())),
            ),
            listener_components_pb2.Filter(
                name="envoy.filters.network.http_connection_manager", typed_config=pack(manager)
            ),
        ]
    )


def _proxy_protocol() -> Any:
    config = proxy_protocol_pb2.ProxyProtocol(disallowed_versions=["V1"], stat_prefix=STAT_PREFIX)
    return listener_components_pb2.ListenerFilter(
        name="envoy.filters.listener.proxy_protocol", typed_config=pack(config)
    )
