"""The manager of a file on this machine, asked over HTTP with its local key."""

from pathlib import Path

import httpx

from marchproxy.cli.file.schema import dialled
from marchproxy.cli.manager.place import ManagerAway, Place, client_of, trusting_leaf
from marchproxy.manager.places import LOCAL_KEY
from marchproxy.manager.settings import ManagerSettings


def local_client(settings: ManagerSettings) -> httpx.AsyncClient:
    """A client that the manager takes for an admin. Raises ManagerAway where the key cannot be read."""
    return client_of(local_place(settings, settings.directory() / LOCAL_KEY))


def local_place(settings: ManagerSettings, key: Path) -> Place:
    """Where the manager of this machine is, and its local key. Raises ManagerAway where that cannot be read.

    With TLS it talks only to whoever has the certificate that the settings name; which name that is for does not matter.
    """
    tls = settings.tls
    try:
        shown = key.read_text().strip()
        trusted = True if tls is None else trusting_leaf(tls.cert)
    except OSError as error:
        raise ManagerAway(
            f"{error.filename or key}: {error.strerror or error}; is the manager running, and are you its user?"
        ) from error
    return Place(f"{'http' if tls is None else 'https'}://{dialled(settings.http)}", shown, trusted)
