"""What a certificate says: its names, and until when it is good. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SMALLEST_RSA = 2048
_UNREADABLE = (x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)


class UnfitCertificate(ValueError):
    """A certificate that Envoy would refuse, or that nobody could use; the text says why."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the first certificate of a file. `names`: DNS names and addresses. Times in UTC."""

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str


def facts_of(pem: bytes) -> Facts:
    """Read a chain of certificates as PEM. Raises UnfitCertificate."""
    try:
        certificate, *_ = x509.load_pem_x509_certificates(pem)
        key = certificate.public_key()
        names = tuple(_names(certificate))
    except (ValueError, UnsupportedAlgorithm, *_UNREADABLE) as error:
        raise UnfitCertificate(f"cannot be read: {error}") from error
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, _CURVES):
            pass
        case rsa.RSAPublicKey() if key.key_size >= _SMALLEST_RSA:
            pass
        case _:
            raise UnfitCertificate(
                f"its key is neither RSA of at least {_SMALLEST_RSA} bits nor ECDSA on P-256, P-384 or P-521"
            )
    return Facts(
        names,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.fingerprint(hashes.SHA256()).hex(":"),
    )


def _names(certificate: x509.Certificate) -> Iterator[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from found.get_values_for_type(x509.DNSName)
    yield from map(str, found.get_values_for_type(x509.IPAddress))
