"""Certificates for tests: self-signed ones that openssl makes."""

import subprocess
from pathlib import Path


def make_certificate(directory: Path, name: str) -> Path:
    """Write `<name>.crt` and `<name>.key`, and return the path of the first."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    made = [
        "openssl",
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]
    named = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *named, *files], check=True, capture_output=True, timeout=20)
    return certificate
