"""TLS and mutual TLS for gRPC: settings to credentials. Files are read when a server or channel is made."""

import ssl
from pathlib import Path

import grpc

from marchproxy.kit.settings import Problem, Section, SettingsError


class TlsSettings(Section):
    """A server's certificate chain and key (PEM). With `client_ca`, clients must show a certificate it signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class ChannelTls(Section):
    """How a client trusts servers (`ca`, PEM) and, for mutual TLS, what it shows them (`cert` and `key`, PEM)."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None


def server_credentials(tls: TlsSettings, setting: str) -> grpc.ServerCredentials:
    """Return a server's credentials. Raises SettingsError naming file and setting, for files that do not serve."""
    key, cert = _read(tls.key, f"{setting}.key"), _read(tls.cert, f"{setting}.cert")
    _check_pair(tls.cert, tls.key, setting)
    if tls.client_ca is None:
        return grpc.ssl_server_credentials([(key, cert)])
    client_ca = _read_ca(tls.client_ca, f"{setting}.client_ca")
    return grpc.ssl_server_credentials([(key, cert)], root_certificates=client_ca, require_client_auth=True)


def channel_credentials(tls: ChannelTls, setting: str) -> grpc.ChannelCredentials:
    """Return a client's credentials. Raises SettingsError naming file and setting, for files that do not serve."""
    ca = _read_ca(tls.ca, f"{setting}.ca")
    if tls.cert is None and tls.key is None:
        return grpc.ssl_channel_credentials(ca)
    if tls.cert is None or tls.key is None:
        raise SettingsError([Problem(setting, "cert and key go together; only one of them is given")])
    key, cert = _read(tls.key, f"{setting}.key"), _read(tls.cert, f"{setting}.cert")
    _check_pair(tls.cert, tls.key, setting)
    return grpc.ssl_channel_credentials(ca, key, cert)


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError([Problem(setting, f"cannot read {path}: {error.strerror}")]) from error


def _read_ca(path: Path, setting: str) -> bytes:
    content = _read(path, setting)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise SettingsError([Problem(setting, f"{path} holds no PEM certificate")]) from error
    return content


def _check_pair(cert: Path, key: Path, setting: str) -> None:
    # grpc would only say that it cannot bind
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        message = f"{cert} and {key} are no PEM certificate and matching key: {reason}"
        raise SettingsError([Problem(setting, message)]) from error


def _no_password() -> str:
    raise ValueError(
        "the key is encrypted; give one without a passphrase"
    )  # instead of a prompt on the terminal
