"""Probe: knocks at endpoints, one TCP connection each, and says who answered. What follows from it is `pulse`'s."""

import asyncio
import errno
import socket
from collections.abc import Collection, Mapping

from marchproxy.kit.settings.types import HostPort

TIMEOUT = 1.0
"""Seconds for a connection to be made."""
AT_ONCE = 64
"""Connection attempts under way at a time."""
_NOBODY = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ETIMEDOUT,
    }
)
"""What says that nobody is there. Anything else, such as too many open files, says something about us."""


async def knock(places: Collection[HostPort], *, timeout: float = TIMEOUT) -> Mapping[HostPort, bool]:
    """Whether each place, an IP address and a port, accepts a connection within so many seconds. Nothing is sent."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(place: HostPort) -> bool:
        async with gate:
            return await _accepts(place, timeout)

    async with asyncio.TaskGroup() as group:
        asked = {place: group.create_task(ask(place)) for place in places}
    return {place: task.result() for place, task in asked.items()}


async def _accepts(place: HostPort, timeout: float) -> bool:
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(socket.AF_INET6 if ":" in place.host else socket.AF_INET) as sock:
            sock.settimeout(0)
            async with asyncio.timeout(timeout):
                await loop.sock_connect(sock, (place.host, place.port))
    except TimeoutError:
        return False
    except OSError as error:
        return error.errno not in _NOBODY
    return True
