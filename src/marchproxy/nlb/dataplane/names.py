"""Names: host names of traffic endpoints to IP addresses, which is what Envoy's endpoints need."""

import asyncio
import socket
from collections.abc import Iterable

from marchproxy.kit.addresses import ip_address
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_RESOLVE_SECONDS = 2.0


async def resolve(hosts: Iterable[str]) -> dict[str, str]:
    """The IP address of each host, IPv4 before IPv6. A name that cannot be resolved in two seconds is logged and left out."""
    found: dict[str, str] = {}
    names = []
    for host in hosts:
        try:
            found[host] = str(ip_address(host))
        except ValueError:
            names.append(host)
    async with asyncio.TaskGroup() as group:
        asked = {name: group.create_task(_lookup(name)) for name in names}
    return found | {name: task.result() for name, task in asked.items() if task.result()}


async def _lookup(name: str) -> str:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            loop = asyncio.get_running_loop()
            answers = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        _log.warning("endpoint's host name cannot be resolved", host=name, reason=str(error) or "timeout")
        return ""
    answers.sort(key=lambda answer: answer[0] is not socket.AF_INET)
    return str(answers[0][4][0])
