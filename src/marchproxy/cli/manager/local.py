"""The manager of a file on this machine, asked over HTTP with its local key."""

import ssl
from pathlib import Path

import httpx

from marchproxy.cli.file.schema import dialled
from marchproxy.manager.places import LOCAL_KEY
from marchproxy.manager.settings import ManagerSettings

_SECONDS = 10.0
_APPLY_SECONDS = 120.0


class ManagerAway(Exception):
    """The manager cannot be asked: it does not run, or its local key cannot be read."""


def local_client(settings: ManagerSettings) -> httpx.AsyncClient:
    """A client that the manager takes for an admin. Raises ManagerAway where the key cannot be read.

    With TLS it talks only to whoever has the certificate that the settings name; which name that is for does not matter.
    """
    key = settings.directory() / LOCAL_KEY
    try:
        shown = key.read_text().strip()
    except OSError as error:
        raise ManagerAway(
            f"{key}: {error.strerror or error}; is the manager running, and are you its user?"
        ) from error
    tls = settings.tls
    return httpx.AsyncClient(
        base_url=f"{'http' if tls is None else 'https'}://{dialled(settings.http)}",
        headers={"authorization": f"Bearer {shown}"},
        verify=True if tls is None else _trusting(tls.cert),
        timeout=httpx.Timeout(_SECONDS, read=_APPLY_SECONDS),
        trust_env=False,
    )


def _trusting(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the leaf itself is trusted, whoever signed it
    context.load_verify_locations(cafile=certificate)
    return context
