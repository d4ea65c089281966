"""TLS with clients: what a listener shows and asks for, as Envoy's context; its secrets come over SDS.

Of several certificates Envoy takes the one whose names have what the client asks for: an exact name before a wildcard, the
first certificate of all where no name fits or none is asked for.
https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/security/ssl#certificate-selection
"""

from dataclasses import dataclass

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.engines.envoy.secrets import over_sds
from marchproxy.modules.http.downstream import TlsVersion

_OVER_TCP = ("h2", "http/1.1")
_OVER_QUIC = ("h3",)


_VERSIONS = {
    TlsVersion.V1_2: common_pb2.TlsParameters.TLSv1_2,
    TlsVersion.V1_3: common_pb2.TlsParameters.TLSv1_3,
}


@dataclass(frozen=True, slots=True)
class DownstreamTls:
    """The names of a listener's secrets: its certificates, the default one first, and who signs those of clients.

    With `client_ca` a client must show a certificate, unless it is not `client_required`: then it may.
    """

    certificates: tuple[str, ...]
    client_ca: str = ""
    client_required: bool = True
    minimum_version: TlsVersion = TlsVersion.V1_2


def tls_socket(tls: DownstreamTls) -> base_pb2.TransportSocket:
    """TLS over TCP, for HTTP/2 and HTTP/1.1. Ciphers and curves are Envoy's own: forward secret, authenticated."""
    return base_pb2.TransportSocket(
        name="envoy.transport_sockets.tls", typed_config=pack(_context(tls, _OVER_TCP))
    )


def quic_socket(tls: DownstreamTls) -> base_pb2.TransportSocket:
    """TLS 1.3 within QUIC.

    Requests in a client's first flight (0-RTT) are not taken: whoever records them could send them again.
    """
    transport = quic_transport_pb2.QuicDownstreamTransport(
        downstream_tls_context=_context(tls, _OVER_QUIC),
        enable_early_data=wrappers_pb2.BoolValue(value=False),
    )
    return base_pb2.TransportSocket(name="envoy.transport_sockets.quic", typed_config=pack(transport))


def _context(tls: DownstreamTls, protocols: tuple[str, ...]) -> tls_pb2.DownstreamTlsContext:
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=tls_pb2.CommonTlsContext(
            tls_params=common_pb2.TlsParameters(
                tls_minimum_protocol_version=_VERSIONS[tls.minimum_version],
                tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
            ),
            tls_certificate_sds_secret_configs=[over_sds(name) for name in tls.certificates],
            alpn_protocols=protocols,
        )
    )
    if tls.client_ca:
        context.require_client_certificate.value = tls.client_required
        context.common_tls_context.validation_context_sds_secret_config.CopyFrom(over_sds(tls.client_ca))
    return context
