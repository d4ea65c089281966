"""Readiness: asking a part's /readyz."""

import asyncio
import json
from dataclasses import dataclass

from marchproxy.kit.settings import HostPort
from marchproxy.model.module import DRAINED

_SECONDS = 2.0
_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a part says of itself; `reason` is what it waits for."""

    ready: bool
    reason: str = ""


async def ask_ready(address: HostPort) -> Readiness:
    """Ask once. A part that does not answer is not ready."""
    try:
        async with asyncio.timeout(_SECONDS):
            return _read(await _get(address, "/readyz"))
    except (OSError, TimeoutError) as error:
        return Readiness(ready=False, reason=f"{address} does not answer: {error}")


async def _get(address: HostPort, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while len(answer) < _LARGEST and (piece := await reader.read(4096)):
            answer += piece
        return answer
    finally:
        writer.close()


def _read(answer: bytes) -> Readiness:
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " in head.split(b"\r\n", 1)[0]:
        return Readiness(ready=True)
    try:
        checks = json.loads(body)["checks"]
        if checks.get("status") == DRAINED:  # it has started, and whoever drained it can undrain it
            return Readiness(ready=True)
        reason = ", ".join(f"{name}: {value}" for name, value in checks.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        reason = head.split(b"\r\n", 1)[0].decode(errors="replace")
    return Readiness(ready=False, reason=reason)
