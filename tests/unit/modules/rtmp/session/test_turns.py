"""Turns: what is brought is read whole and in order, by whom it may be, and every end is noticed."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from marchproxy.modules.rtmp.session.link import Link
from marchproxy.modules.rtmp.session.turns import FEW, MANY, Turns
from tests.unit.modules.rtmp.session.crafted import FakeTransport


class Bringer(Link):
    def __init__(self) -> None:
        super().__init__()
        self.came, self.end, self.awaited = bytearray(), "", True

    @property
    def is_awaited(self) -> bool:
        return self.awaited

    def data_received(self, data: bytes) -> None:
        if data == b"fault":
            raise ValueError("what nobody thought of")
        self.came += data

    def ended(self, reason: str) -> None:
        self.end = reason


@dataclass
class Rig:
    turns: Turns = field(default_factory=Turns)
    bringers: list[Bringer] = field(default_factory=list)
    others: list[socket.socket] = field(default_factory=list)

    async def come(self, count: int, *, awaited: bool = True) -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            for _ in range(count):
                other = socket.create_connection(listening.getsockname())
                self.others.append(other)
                bringer = Bringer()
                bringer.awaited = awaited
                accepted, _ = listening.accept()
                await loop.connect_accepted_socket(lambda one=bringer: one, accepted)
                bringer.read_in_turns(self.turns, echoes=len(self.bringers) % 3 == 0)
                self.bringers.append(bringer)

    @property
    def in_turns(self) -> int:
        return sum(one.in_turns for one in self.bringers)


@asynccontextmanager
async def rig(count: int, *, awaited: bool = True) -> AsyncIterator[Rig]:
    made = Rig()
    try:
        await made.come(count, awaited=awaited)
        yield made
    finally:
        for bringer in made.bringers:
            bringer.abort("over")
        for other in made.others:
            other.close()
        await until(lambda: all(one.end for one in made.bringers) and not len(made.turns))


async def until(holds) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize(("count", "in_turns"), [(MANY - 1, 0), (MANY, MANY), (MANY + 3, MANY + 3)])
async def test_all_is_read_whoever_reads(count: int, in_turns: int) -> None:
    async with rig(count) as made:
        assert made.in_turns == in_turns
        sent = [b""] * count
        for part in range(3):
            for number, other in enumerate(made.others):
                data = f"{number}.{part};".encode() * (number + 1)
                other.sendall(data)
                sent[number] += data
            await until(lambda: [bytes(one.came) for one in made.bringers] == sent)


@pytest.mark.parametrize("awaited", [True, False])
async def test_more_than_a_call_takes(awaited: bool) -> None:
    async with rig(MANY, awaited=awaited) as made:
        loop, data = asyncio.get_running_loop(), bytes(range(256)) * 8_000
        other, bringer = made.others[0], made.bringers[0]
        other.setblocking(False)
        await loop.sock_sendall(other, data)
        await until(lambda: len(bringer.came) == len(data))
        assert bringer.came == data


async def test_who_is_left_is_read_by_the_loop_again() -> None:
    async with rig(MANY) as made:
        for other in made.others[FEW - 1 :]:
            other.close()
        await until(lambda: made.in_turns == 0)
        assert len(made.turns) == FEW - 1
        for other in made.others[: FEW - 1]:
            other.sendall(b"still here")
        await until(lambda: all(one.came == b"still here" for one in made.bringers[: FEW - 1]))
        await made.come(MANY)
        assert made.in_turns == FEW - 1 + MANY


@pytest.mark.parametrize("awaited", [True, False])
async def test_an_end_is_seen_behind_all_that_was_said(awaited: bool) -> None:
    async with rig(MANY, awaited=awaited) as made:
        made.others[0].sendall(b"farewell" * 4_000)
        made.others[0].close()
        await until(lambda: made.bringers[0].end)
        assert (made.bringers[0].end, bytes(made.bringers[0].came)) == ("client", b"farewell" * 4_000)
        assert made.in_turns == MANY - 1


async def test_a_broken_connection_is_seen() -> None:
    async with rig(MANY) as made:
        made.others[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.others[0].close()
        await until(lambda: made.bringers[0].end)
        assert made.bringers[0].end == "reset"


async def test_who_is_paused_has_no_turn() -> None:
    async with rig(MANY) as made:
        made.bringers[0].pause()
        for other in made.others:
            other.sendall(b"said")
        await until(lambda: all(one.came == b"said" for one in made.bringers[1:]))
        for other in made.others[1:]:
            other.sendall(b"more")
        await until(lambda: all(one.came == b"saidmore" for one in made.bringers[1:]))
        assert made.bringers[0].came == b""
        made.bringers[0].resume()
        await until(lambda: made.bringers[0].came == b"said")
        assert made.in_turns == MANY


async def test_who_ends_gives_up_its_turn() -> None:
    async with rig(MANY) as made:
        made.bringers[0].finish("farewell")
        assert made.in_turns == len(made.turns) == MANY - 1
        made.others[0].close()
        await until(lambda: made.bringers[0].end)
        assert made.bringers[0].end == "farewell"


async def test_a_fault_ends_its_own_connection_alone() -> None:
    async with rig(MANY) as made:
        made.others[0].sendall(b"fault")
        await until(lambda: made.bringers[0].end)
        assert made.bringers[0].end == "error"
        made.others[1].sendall(b"well")
        await until(lambda: made.bringers[1].came == b"well")


def test_what_is_encrypted_has_no_turn() -> None:
    turns = Turns()
    bringer = Bringer()
    transport = FakeTransport(bringer)
    transport.get_extra_info = {"sslcontext": object()}.get
    bringer.read_in_turns(turns)
    assert (len(turns), bringer.in_turns) == (0, False)
