"""Connection manager: how a listener speaks HTTP, within the bounds that an edge proxy keeps.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/best_practices/edge
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2, protocol_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration, over_ads, pack
from marchproxy.modules.http.downstream import Underscores
from marchproxy.modules.http.extension import NOTHING_ADDED, Extension
from marchproxy.modules.http.resources.actions import COMMON_UPGRADE
from marchproxy.modules.http.resources.filters import http_filters
from marchproxy.modules.http.resources.observing import NOTHING_OBSERVED, Observing, observe
from marchproxy.modules.http.resources.route_stats import route_statistics

#: Prefix of the HTTP connection managers' statistics.
STAT_PREFIX = "alb"

MOST_STREAMS = 100
"""Requests at once on one connection."""
STREAM_WINDOW = 65_536
"""Bytes of a request body that are taken before the backend takes them."""
CONNECTION_WINDOW = 1 << 20
"""The same for all requests of a connection together."""

_HTTPS_PORT = 443
_Manager = hcm_pb2.HttpConnectionManager
_UNDERSCORES = {
    Underscores.REJECT: protocol_pb2.HttpProtocolOptions.REJECT_REQUEST,
    Underscores.DROP: protocol_pb2.HttpProtocolOptions.DROP_HEADER,
    Underscores.ALLOW: protocol_pb2.HttpProtocolOptions.ALLOW,
}


@dataclass(frozen=True, slots=True)
class Speech:
    """What differs between connections.

    `over_quic`: they speak HTTP/3. `tls_ended_before`: requests count as https though the connection is plain.
    `client_certificates`: a client's certificate is told to backends. `headers` are set on answers that have none.
    """

    over_quic: bool = False
    tls_ended_before: bool = False
    client_certificates: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    underscores: Underscores = Underscores.REJECT
    observing: Observing = NOTHING_OBSERVED
    extension: Extension = NOTHING_ADDED


def serving_manager(speech: Speech, route_configuration: str) -> Any:
    """A manager that takes its routes from the named route configuration over ADS."""
    manager = _manager(speech)
    manager.rds.route_config_name = route_configuration
    manager.rds.config_source.CopyFrom(over_ads())
    manager.http_filters.extend([*_header_filter(speech), *http_filters(speech.extension.filters())])
    manager.access_log.extend(route_statistics())
    manager.upgrade_configs.add(upgrade_type=COMMON_UPGRADE)
    speech.extension.extend_manager(manager)
    return manager


def redirecting_manager(speech: Speech, port: int) -> Any:
    """A manager that sends every request to https at this port, with the method, the body and the query it has."""
    manager = _manager(speech)
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"))
    route.redirect.https_redirect = True
    route.redirect.port_redirect = 0 if port == _HTTPS_PORT else port
    route.redirect.response_code = route_components_pb2.RedirectAction.PERMANENT_REDIRECT
    everything = route_components_pb2.VirtualHost(name="*", domains=["*"], routes=[route])
    manager.route_config.CopyFrom(route_pb2.RouteConfiguration(name="redirect", virtual_hosts=[everything]))
    manager.strip_any_host_port = True  # the port of the plain listener is not that of https
    manager.http_filters.add(name="envoy.filters.http.router", typed_config=pack(router_pb2.Router()))
    return manager


def _manager(speech: Speech) -> Any:
    manager = _Manager(
        stat_prefix=STAT_PREFIX,
        codec_type=_Manager.HTTP3 if speech.over_quic else _Manager.AUTO,
        use_remote_address=wrappers_pb2.BoolValue(value=True),
        normalize_path=wrappers_pb2.BoolValue(value=True),
        path_with_escaped_slashes_action=_Manager.UNESCAPE_AND_REDIRECT,
        server_header_transformation=_Manager.PASS_THROUGH,
        request_headers_timeout=duration(30),
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(
            headers_with_underscores_action=_UNDERSCORES[speech.underscores]
        ),
    )
    # a malformed request ends itself, not the others on its connection (RFC 9113, section 8.1.1)
    if speech.over_quic:
        manager.http3_protocol_options.override_stream_error_on_invalid_http_message.value = True
    else:
        manager.http2_protocol_options.CopyFrom(_http2())
    if speech.tls_ended_before:
        manager.scheme_header_transformation.scheme_to_overwrite = "https"
    if speech.client_certificates:
        manager.forward_client_cert_details = _Manager.SANITIZE_SET
        details = manager.set_current_client_cert_details
        details.subject.value = details.uri = details.dns = True
    observe(manager, speech.observing)
    return manager


def _http2() -> protocol_pb2.Http2ProtocolOptions:
    return protocol_pb2.Http2ProtocolOptions(
        max_concurrent_streams=wrappers_pb2.UInt32Value(value=MOST_STREAMS),
        initial_stream_window_size=wrappers_pb2.UInt32Value(value=STREAM_WINDOW),
        initial_connection_window_size=wrappers_pb2.UInt32Value(value=CONNECTION_WINDOW),
        override_stream_error_on_invalid_http_message=wrappers_pb2.BoolValue(value=True),
    )


def _header_filter(speech: Speech) -> Iterator[Any]:
    """Before all others, so that their own answers have the headers too."""
    if not speech.headers:
        return
    append = base_pb2.HeaderValueOption.ADD_IF_ABSENT
    mutations = [
        mutation_rules_pb2.HeaderMutation(
            append=base_pb2.HeaderValueOption(
                header=base_pb2.HeaderValue(key=name, value=value), append_action=append
            )
        )
        for name, value in speech.headers
    ]
    config = header_mutation_pb2.HeaderMutation(
        mutations=header_mutation_pb2.Mutations(response_mutations=mutations)
    )
    yield hcm_pb2.HttpFilter(name="marchproxy.secure", typed_config=pack(config))
