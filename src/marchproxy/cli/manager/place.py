"""Place: where a manager is asked, and as whom."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import httpx

_SECONDS = 10.0
_APPLY_SECONDS = 120.0


class ManagerAway(Exception):
    """The manager cannot be asked: it does not run, or its local key cannot be read."""


@dataclass(frozen=True, slots=True)
class Place:
    """A manager. `key` is its local key, or an API key; empty: none. `trusted`: who must vouch for it, where it has TLS;
    True: whom the system trusts."""

    url: str
    key: str = field(default="", repr=False)
    trusted: ssl.SSLContext | bool = True


def client_of(place: Place) -> httpx.AsyncClient:
    """A client for it, which ignores proxies of the environment. An answer may take two minutes, all else 10 s."""
    return httpx.AsyncClient(
        base_url=place.url,
        headers={"authorization": f"Bearer {place.key}"} if place.key else {},
        verify=place.trusted,
        timeout=httpx.Timeout(_SECONDS, read=_APPLY_SECONDS),
        trust_env=False,
    )


def trusting(authorities: Path) -> ssl.SSLContext:
    """Trust in whatever these authorities (PEM) vouch for, by name. Raises OSError, and ssl.SSLError, which is one."""
    return ssl.create_default_context(cafile=authorities)


def trusting_leaf(certificate: Path) -> ssl.SSLContext:
    """Trust in one certificate alone, whoever signed it and for which name. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the leaf itself is trusted
    context.load_verify_locations(cafile=certificate)
    return context
