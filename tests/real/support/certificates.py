"""Certificates for tests: self-signed ones that openssl makes; and its client, which tells what it sees."""

import asyncio
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


async def s_client(port: int, *options: str) -> str:
    """What `openssl s_client` prints about a connection."""
    command = ("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return (out + err).decode()
