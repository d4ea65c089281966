"""An authority that signs certificates of servers and of clients, good, expired or for another time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Issued:
    """Paths of a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        return {"certificate": str(self.certificate), "key": str(self.key)}

    def replace_with(self, other: "Issued") -> None:
        """Write the other's content into these files, first the certificate."""
        self.certificate.write_bytes(other.certificate.read_bytes())
        self.key.write_bytes(other.key.read_bytes())


class Authority:
    """Writes what it signs into a folder, where its own certificate is too."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = self._builder(self._name, self._key.public_key(), datetime.now(UTC), timedelta(days=30))
        signed = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
            self._key, hashes.SHA256()
        )
        self.certificate = folder / f"{name}.ca.pem"
        self.certificate.write_bytes(signed.public_bytes(_PEM))

    def issue(
        self,
        stem: str,
        names: Sequence[str],
        *,
        days: float = 20,
        since: timedelta = timedelta(hours=-1),
        key: Key | None = None,
        must_staple: bool = False,
    ) -> Issued:
        """A certificate for these DNS names, good for `days` from now on (negative: it has expired).

        `must_staple`: it is of use only beside an answer of OCSP (RFC 7633), which Envoy asks for.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, stem)])
        now = datetime.now(UTC)
        start = min(now + since, now + timedelta(days=days - 1))
        builder = self._builder(subject, key.public_key(), start, now + timedelta(days=days) - start)
        if must_staple:
            builder = builder.add_extension(
                x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False
            )
        wanted = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        certificate = builder.add_extension(wanted, critical=False).sign(self._key, hashes.SHA256())
        issued = Issued(self._folder / f"{stem}.crt", self._folder / f"{stem}.key")
        issued.certificate.write_bytes(certificate.public_bytes(_PEM))
        issued.key.write_bytes(
            key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return issued

    def _builder(
        self, subject: x509.Name, key, start: datetime, length: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + length)
        )
