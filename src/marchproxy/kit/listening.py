"""Addresses to listen on: what is wrong with one, said before a server tries it and in words that name the setting."""

import errno
import socket
from pathlib import Path
from typing import TypeAlias

from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import HostPort

_POLL_SECONDS = 0.002
Address: TypeAlias = HostPort | str
"""A TCP address, or `unix:/path/to/socket`."""


class BindError(Exception):
    """An address cannot be listened on. Names the setting, the address and the reason."""

    def __init__(self, address: Address, setting: str, reason: str) -> None:
        self.address = address
        self.setting = setting
        super().__init__(f"{setting}: cannot listen on {address}: {reason}")


class PortInUse(BindError):
    """Another process (or another server in this one) listens there already."""

    def __init__(self, address: Address, setting: str) -> None:
        super().__init__(
            address, setting, "already in use; stop what listens there or choose another address"
        )


def check_free(address: Address, setting: str, *, udp: bool = False) -> None:
    """Raise PortInUse or BindError when `address` cannot be bound now. It may be taken again a moment later."""
    if isinstance(address, HostPort):
        _check_port(address, setting, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    else:
        _check_unix(address, setting)


async def until_free(address: HostPort, setting: str, *, seconds: float, clock: Clock) -> None:
    """Wait up to so many seconds until `check_free` finds nothing wrong. Raises what it raises at the end."""
    deadline = clock.monotonic() + seconds
    while clock.monotonic() < deadline:
        try:
            return check_free(address, setting)
        except BindError:
            await clock.sleep(_POLL_SECONDS)
    check_free(address, setting)
    return None


def choose_port(address: HostPort) -> HostPort:
    """Return the address with a port that is free now in place of 0; another port stays. Raises BindError."""
    if address.port:
        return address
    with socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET) as probe:
        try:
            probe.bind((address.host, 0))
        except OSError as error:
            raise BindError(address, "port 0", error.strerror or str(error)) from error
        return HostPort(address.host, probe.getsockname()[1])


def own_address() -> str:
    """Return an IPv4 address that other hosts may reach this one by: of the first interface that is up; else 127.0.0.1."""
    import psutil  # noqa: PLC0415 - only who listens on every address asks

    states = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        for found in addresses:
            usable = found.family is socket.AF_INET and not found.address.startswith("127.")
            if usable and name in states and states[name].isup:
                return str(found.address)
    return "127.0.0.1"


def unix_path(address: str) -> Path:
    """Return the path of a `unix:/path` address. Raises ValueError on anything else."""
    path = address.removeprefix("unix:")
    if path == address or not path:
        raise ValueError(f'{address!r} is neither "host:port" nor "unix:/path"')
    return Path(path)


def _check_port(address: HostPort, setting: str, kind: socket.SocketKind) -> None:
    try:
        candidates = socket.getaddrinfo(
            address.host,
            address.port,
            type=kind,
            flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV,
        )
    except OSError as error:
        raise BindError(address, setting, error.strerror or str(error)) from error
    family, _, protocol, _, where = candidates[0]
    with socket.socket(family, kind, protocol) as probe:
        try:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
                probe.listen(1)
            else:
                probe.bind(where)  # with SO_REUSEADDR two sockets could have it
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(address, setting) from error
            raise BindError(address, setting, error.strerror or str(error)) from error


def _check_unix(address: str, setting: str) -> None:
    # servers unlink a socket file before they bind, so a second one would silently take the first one's clients
    path = unix_path(address)
    if not path.parent.is_dir():
        raise BindError(address, setting, f"the directory {path.parent} does not exist")
    if path.exists() and not path.is_socket():
        raise BindError(address, setting, "a file that is not a socket is in the way")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return  # nothing there, or left behind by a process that is gone
        except OSError as error:
            raise BindError(address, setting, error.strerror or str(error)) from error
    raise PortInUse(address, setting)
