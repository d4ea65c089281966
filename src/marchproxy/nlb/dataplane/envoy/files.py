"""Files of TLS listeners: read, checked, and kept in their last good form.

A file that a renewal has half written must not stop a plan: what was good before stays in use, and is told in the log.
"""

import ssl
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from marchproxy.kit.logs import get_logger
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.problem import Problem
from marchproxy.nlb.dataplane.resources.tls import Material

_log = get_logger(__name__)
_LARGEST_FILE = 1_000_000  # bytes; a chain of certificates has some thousands


class UnusableFile(Exception):
    """A file that cannot be used; `field` is the one of `tls` that names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TlsFiles:
    """The material of each listener with TLS, by name."""

    def __init__(self) -> None:
        self._good: dict[str, tuple[TlsTermination, Material]] = {}

    def problems(self, listeners: Sequence[Listener]) -> Iterator[Problem]:
        """What is wrong with the files now; paths as in the document."""
        for index, listener in enumerate(listeners):
            if listener.tls is None:
                continue
            try:
                read(listener.tls)
            except UnusableFile as error:
                yield Problem(f"listeners[{index}].tls.{error.field}", str(error))

    def material(self, listeners: Iterable[Listener]) -> dict[str, Material]:
        """What the files hold, or what they held when they were last good. Raises UnusableFile when they never were."""
        good: dict[str, tuple[TlsTermination, Material]] = {}
        for listener in listeners:
            if listener.tls is not None:
                good[listener.name] = (listener.tls, self._newest(listener, listener.tls))
        self._good = good
        return {name: material for name, (_, material) in good.items()}

    def _newest(self, listener: Listener, tls: TlsTermination) -> Material:
        try:
            return read(tls)
        except UnusableFile as error:
            known = self._good.get(listener.name)
            if known is None or known[0] != tls:
                raise
            _log.error("the certificate in use is kept", listener=listener.name, reason=str(error))
            return known[1]


def read(tls: TlsTermination) -> Material:
    """Read and check the files. Raises UnusableFile."""
    material = Material(
        _content("certificate", tls.certificate),
        _content("key", tls.key),
        _content("client_ca", tls.client_ca) if tls.client_ca else b"",
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_authorities("certificate", tls.certificate, material.certificate)
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UnusableFile("key", f"{tls.key}: {_fault_of_key(error)}") from error
    if tls.client_ca:
        _load_authorities("client_ca", tls.client_ca, material.client_ca)
    return material


def _content(field: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise UnusableFile(field, f"{path}: {error.strerror or error}") from error
    if len(content) > _LARGEST_FILE:
        raise UnusableFile(field, f"{path}: larger than {_LARGEST_FILE} bytes")
    return content


def _load_authorities(field: str, path: str, content: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        raise UnusableFile(field, f"{path}: holds no certificate as PEM") from error


def _no_password() -> str:
    raise ValueError("is encrypted, and nobody is here to type its password")


def _fault_of_key(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "is not the key of the certificate"
        return "holds no private key as PEM"
    return str(error)
