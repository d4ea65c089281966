"""An ALB with HTTPS, curl as a client of it, and what a TLS client sees of a certificate."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.ports import free_port
from tests.real.support.alb import Alb


class SecureAlb(Alb):
    """An ALB that also has a port of HTTPS."""

    def __init__(
        self, directory: Path, state: Mapping[str, Any], *, proxied: bool = False, **settings: Any
    ) -> None:
        self.tls = free_port()
        address = {"tls_traffic": f"127.0.0.1:{self.tls}"}
        super().__init__(directory, state, proxied=proxied, **{**address, **settings})


@dataclass(frozen=True)
class Answer:
    """What curl got; `exit` is its exit code, and where that is not 0 there may be nothing else."""

    exit: int
    version: str
    status: int
    headers: Mapping[str, str]
    body: str


async def curl(port: int, url: str, *options: str, ca: Path | None = None) -> Answer:
    """Ask this port for the URL, whatever host and port it names. No `ca`: whoever answers is believed."""
    trust = ("--cacert", str(ca)) if ca is not None else ("--insecure",)
    process = await asyncio.create_subprocess_exec(
        *(
            "curl",
            "-sSi",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            "--connect-to",
            f"::127.0.0.1:{port}",
            *trust,
        ),
        *(*options, url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert process.returncode is not None
    head, _, body = out.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    version, status, *_ = (*first.split(" "), "", "")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(process.returncode, version, int(status or 0), headers, body)


def trusting(ca: Path, *protocols: str) -> ssl.SSLContext:
    """A client's side of TLS, which believes this authority."""
    context = ssl.create_default_context(cafile=str(ca))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def certificate_at(port: int, name: str = "") -> x509.Certificate:
    """What is shown to a client that asks for the name, or for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(20):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
    return x509.load_der_x509_certificate(shown)


async def name_at(port: int, name: str = "") -> str:
    """The common name of that certificate."""
    subject = (await certificate_at(port, name)).subject
    return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
