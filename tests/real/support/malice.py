"""Clients that mean no good: what they send, and what it takes until somebody has had enough of them."""

import asyncio
import random
import socket
import struct
from dataclasses import dataclass

from tests.unit.wire.detect.crafted import CRAFTED, FIRSTS

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_AT_ONCE = 25
_DICE = random.Random(20)


@dataclass(frozen=True)
class Attack:
    """Sends `data`, each byte `pace` seconds after the one before (0: all at once), and then waits."""

    name: str
    data: bytes
    pace: float = 0.0


def attacks() -> tuple[Attack, ...]:
    """Silence, garbage, half of what real clients send first, and all of it at a snail's pace."""
    garbage = {
        "nothing": b"",
        "one byte": b"\x16",
        "zeros": bytes(600),
        "ones": b"\xff" * 600,
        "dice": _DICE.randbytes(4_000),
        "text": b"EHLO mail.example\r\nQUIT\r\n",
        "endless line": b"GET /" + b"a" * 200_000,
        "endless header": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 20_000,
        "a hello of 16 MB": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16_000),
        "a header that is none": b"PROXY TCP4 nobody nowhere 1 2\r\nGET / HTTP/1.1\r\n\r\n",
        "half a header": b"PROXY TCP4 192.0.2.",
        "a binary header cut short": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + bytes(30),
    }
    samples = {**FIRSTS, **CRAFTED}
    half = {f"half of {name}": data[: len(data) // 2] for name, data in samples.items()}
    slow = {f"{name}, slowly": data[:120] for name, data in FIRSTS.items()}
    return (
        *(Attack(name, data) for name, data in (garbage | half).items()),
        *(Attack(name, data, pace=0.02) for name, data in slow.items()),
    )


async def endure(host: str, port: int, attack: Attack) -> None:
    """Return when the other side has closed, politely or not. What it answers meanwhile is thrown away."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send(writer, attack))
            await _until_closed(reader)
            sending.cancel()
    finally:
        writer.transport.abort()


async def flood(host: str, port: int, connections: int, *, first: bytes = b"", reset: bool) -> None:
    """Open so many connections and drop each at once, with a reset or without."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with gate:
            _, writer = await asyncio.open_connection(host, port)
            if reset:
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
                )
            writer.write(first)
            writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(one())


async def _send(writer: asyncio.StreamWriter, attack: Attack) -> None:
    try:
        if not attack.pace:
            writer.write(attack.data)
            await writer.drain()
            return
        for byte in attack.data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(attack.pace)
    except ConnectionError:
        return  # it was closed meanwhile, as it should be


async def _until_closed(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(1 << 16):
            pass
    except ConnectionError:
        return
