"""Files of certificates and keys: read within bounds, and checked before Envoy is given what they hold."""

import ssl
from pathlib import Path

_LARGEST_FILE = 1_000_000  # bytes; a chain of certificates has some thousands, a system's authorities 300,000

# the second is how OpenSSL says that an RSA key comes with an ECDSA certificate, or the other way round
_MISFITS = {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


class UnusableFile(Exception):
    """A file that cannot be used; `field` is the one of the document that names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def read_pair(certificate: str, key: str) -> tuple[bytes, bytes]:
    """What the files of a certificate (with its chain) and of its key hold, as PEM. Raises UnusableFile.

    They fit each other, whenever somebody replaces them.
    """
    pair = _content("certificate", certificate), _content("key", key)
    _load_authorities("certificate", certificate, pair[0])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UnusableFile("key", f"{key}: {_fault_of_key(error)}") from error
    if pair != (_content("certificate", certificate), _content("key", key)):
        # what OpenSSL judged was not what was read before
        raise UnusableFile("certificate", f"{certificate}: is being replaced at this moment")
    return pair


def read_authorities(field: str, path: str) -> bytes:
    """What a file of certificates of authorities holds, as PEM. Raises UnusableFile with `field`."""
    content = _content(field, path)
    _load_authorities(field, path, content)
    return content


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
        # what is not ASCII is a comment, as the bundles of some systems have
        text = content.decode("ascii", errors="ignore")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise UnusableFile(field, f"{path}: holds no certificate as PEM") from error


def _no_password() -> str:
    raise ValueError("is encrypted, and nobody is here to type its password")


def _fault_of_key(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason in _MISFITS:
            return "is not the key of the certificate"
        return "holds no private key as PEM"
    return str(error)
