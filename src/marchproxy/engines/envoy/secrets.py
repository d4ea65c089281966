"""Secrets: certificates and authorities as resources of their own, so that a renewed one touches no connection.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/security/secret
"""

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from marchproxy.engines.envoy.messages import over_ads


def certificate_secret(name: str, certificate: bytes, key: bytes) -> secret_pb2.Secret:
    """A certificate with its chain, and its key, as PEM."""
    return secret_pb2.Secret(
        name=name,
        tls_certificate=common_pb2.TlsCertificate(
            certificate_chain=base_pb2.DataSource(inline_bytes=certificate),
            private_key=base_pb2.DataSource(inline_bytes=key),
        ),
    )


def authorities_secret(name: str, certificates: bytes) -> secret_pb2.Secret:
    """Who may have signed the other side's certificate, as PEM."""
    trusted = base_pb2.DataSource(inline_bytes=certificates)
    return secret_pb2.Secret(
        name=name, validation_context=common_pb2.CertificateValidationContext(trusted_ca=trusted)
    )


def over_sds(name: str) -> secret_pb2.SdsSecretConfig:
    """Where a TLS context takes the secret of that name from."""
    return secret_pb2.SdsSecretConfig(name=name, sds_config=over_ads())
