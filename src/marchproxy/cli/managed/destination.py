"""Destination: the URL of a manager as people write it, and whether a password may be sent there. Pure."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

_USUAL = {None, 80, 443, 8000}


class NotADestination(Exception):
    """A URL that no manager has, or to which no password goes; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a manager is. `name`: what a context of it is called, if nobody says otherwise."""

    url: str
    name: str


def read_destination(text: str, *, insecure: bool = False) -> Destination:
    """Read `https://host:port`. Raises NotADestination, also for plain HTTP to another machine, but if `insecure`."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise NotADestination(f"{text}: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise NotADestination(f"{text}: must be a URL such as https://manager.example:8000")
    if parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise NotADestination(f"{text}: must end with its host and port, with nothing before them either")
    if parts.scheme == "http" and not insecure and not _is_here(host):
        raise NotADestination(
            f"{text}: the password would go there in clear text; use https, or --insecure where nobody listens in"
        )
    name = host if port in _USUAL else f"{host}-{port}"
    return Destination(f"{parts.scheme}://{parts.netloc}", name.replace(":", "-").strip("-"))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
