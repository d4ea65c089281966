"""TLS that ends at a listener: its transport socket, and the secrets that it takes over SDS.

Secrets are resources of their own, so that a renewed certificate touches no connection.
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/transport_sockets/tls/v3/tls.proto
"""

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.engines.envoy.secrets import authorities_secret, certificate_secret, over_sds
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import HTTP_FAMILY, Protocol
from marchproxy.nlb.dataplane.resources.naming import certificate_name, client_ca_name

_HTTP_ALPN = ("h2", "http/1.1")


@dataclass(frozen=True, slots=True)
class Material:
    """What the files of a TlsTermination hold, as PEM. `client_ca` is empty where no client certificate is asked for."""

    certificate: bytes
    key: bytes
    client_ca: bytes = b""

    def __repr__(self) -> str:
        return "Material(...)"  # a key never gets into a log


def secrets(listener: Listener, material: Material) -> Iterator[secret_pb2.Secret]:
    """The secrets that `transport_socket` asks for."""
    yield certificate_secret(certificate_name(listener.name), material.certificate, material.key)
    if material.client_ca:
        yield authorities_secret(client_ca_name(listener.name), material.client_ca)


def transport_socket(listener: Listener, tls: TlsTermination) -> base_pb2.TransportSocket:
    """TLS 1.2 or newer, with the listener's certificate; with `client_ca` a client must have one, too."""
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=tls_pb2.CommonTlsContext(
            tls_params=common_pb2.TlsParameters(
                tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2
            ),
            tls_certificate_sds_secret_configs=[over_sds(certificate_name(listener.name))],
            alpn_protocols=offered(listener, tls),
        )
    )
    if tls.client_ca:
        context.require_client_certificate.value = True
        context.common_tls_context.validation_context_sds_secret_config.CopyFrom(
            over_sds(client_ca_name(listener.name))
        )
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def offered(listener: Listener, tls: TlsTermination) -> tuple[str, ...]:
    """What is offered by ALPN, the most wanted first; nothing unless configured or known from the protocol."""
    if tls.alpn:
        return tls.alpn
    speaks_http = listener.protocol in HTTP_FAMILY or listener.protocol is Protocol.HTTPS
    return _HTTP_ALPN if speaks_http else ()
