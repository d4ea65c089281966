"""TLS to a pool's endpoints: its transport socket, and the secrets that it takes over SDS.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/transport_sockets/tls/v3/tls.proto
"""

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from marchproxy.engines.envoy.messages import pack
from marchproxy.engines.envoy.secrets import authorities_secret, certificate_secret, over_sds
from marchproxy.model.pool import UpstreamTls
from marchproxy.model.rules import ip_address

_SanMatcher = common_pb2.SubjectAltNameMatcher


@dataclass(frozen=True, slots=True)
class PoolMaterial:
    """What the files of an UpstreamTls hold, as PEM; empty where there is none."""

    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = b""

    def __repr__(self) -> str:
        return "PoolMaterial(...)"  # a key never gets into a log


def pool_secrets(tls: UpstreamTls, material: PoolMaterial) -> Iterator[secret_pb2.Secret]:
    """The secrets that `transport_socket` asks for. Pools that name the same files share them."""
    if not tls.insecure:
        yield authorities_secret(_authorities_name(tls), material.ca)
    if tls.certificate:
        yield certificate_secret(_certificate_name(tls), material.certificate, material.key)


def transport_socket(tls: UpstreamTls) -> base_pb2.TransportSocket:
    """TLS 1.2 or newer. Unless `insecure`, the certificate must be signed by a known authority and bear the name sent."""
    by_address = tls.server_name if ip_address(tls.server_name) is not None else ""
    common = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2)
    )
    if tls.certificate:
        common.tls_certificate_sds_secret_configs.append(over_sds(_certificate_name(tls)))
    if not tls.insecure:
        wanted = [_san(_SanMatcher.IP_ADDRESS, by_address)] if by_address else _dns(tls.server_name)
        common.combined_validation_context.CopyFrom(
            tls_pb2.CommonTlsContext.CombinedCertificateValidationContext(
                default_validation_context=common_pb2.CertificateValidationContext(
                    match_typed_subject_alt_names=wanted
                ),
                validation_context_sds_secret_config=over_sds(_authorities_name(tls)),
            )
        )
    context = tls_pb2.UpstreamTlsContext(
        common_tls_context=common,
        sni="" if by_address else tls.server_name,  # RFC 6066, section 3: an address is not sent
        auto_host_sni=not tls.server_name,
        auto_sni_san_validation=not tls.server_name and not tls.insecure,
    )
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _dns(name: str) -> list[common_pb2.SubjectAltNameMatcher]:
    return [_san(_SanMatcher.DNS, name)] if name else []


def _san(
    kind: common_pb2.SubjectAltNameMatcher.SanType.ValueType, value: str
) -> common_pb2.SubjectAltNameMatcher:
    # a certificate's `*.example.com` covers `a.example.com`: Envoy compares an exact DNS name as TLS clients do
    return _SanMatcher(san_type=kind, matcher=string_pb2.StringMatcher(exact=value))


def _authorities_name(tls: UpstreamTls) -> str:
    return f"authorities.{tls.ca or 'system'}"


def _certificate_name(tls: UpstreamTls) -> str:
    return f"certificate.{tls.certificate}.{tls.key}"
