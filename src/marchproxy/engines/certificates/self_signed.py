"""Self-signed certificates: made for first steps, kept between starts, and made anew before they expire."""

import ipaddress
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from marchproxy.engines.certificates.facts import Facts, UnfitCertificate, facts_of
from marchproxy.engines.envoy.pem import UnusableFile, read_pair
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_VALID = timedelta(days=90)
_RENEW = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)
_LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1


class SelfSigned:
    """One certificate for these names, in a folder that exists. Both files are of mode 0600."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.certificate = folder / "self-signed.crt"
        self.key = folder / "self-signed.key"
        self._names = tuple(str(name.value) for name in _general_names(names))

    def ensure(self, now: datetime) -> None:
        """Make the certificate when there is none for these names that is good for some time. Raises OSError."""
        known = self._known()
        if known is not None and set(known.names) == set(self._names) and known.not_after - now > _RENEW:
            return
        certificate, key = make_self_signed(self._names, now)
        # in between, the two do not fit, and whoever reads them sees that
        write_atomically(self.key, key)
        write_atomically(self.certificate, certificate)
        _log.warning(
            "made a self-signed certificate; no client trusts it by itself",
            names=", ".join(self._names),
            file=str(self.certificate),
            sha256=facts_of(certificate).fingerprint,
        )

    def _known(self) -> Facts | None:
        try:
            return facts_of(read_pair(str(self.certificate), str(self.key))[0])
        except (UnusableFile, UnfitCertificate):
            return None


def make_self_signed(names: Sequence[str], now: datetime) -> tuple[bytes, bytes]:
    """A certificate for these names (DNS, with a wildcard or not, or IP addresses) and its key, as PEM; ECDSA on P-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_LONGEST_COMMON_NAME])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName(list(_general_names(names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general_names(names: Sequence[str]) -> Iterator[x509.GeneralName]:
    for name in names:
        try:
            yield x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            yield x509.DNSName(name)
