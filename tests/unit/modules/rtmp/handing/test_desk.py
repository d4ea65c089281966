"""Clients that go from one worker to another by real sockets, and what becomes of them when the other one is away."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest

from marchproxy.kit.clock import SystemClock, VirtualClock
from marchproxy.kit.tasks import Isolating
from marchproxy.modules.rtmp.handing import giving
from marchproxy.modules.rtmp.handing.desk import TAKEN, HandingDesk, place_of
from marchproxy.modules.rtmp.handing.giving import PATIENCE_SECONDS, Giver
from marchproxy.modules.rtmp.handing.handed import Handed, encode

CLIENT = Handed("192.0.2.1", 5, 1935, size=4)
PIPED = Handed("192.0.2.1", 5, 1935, secure=True, piped=True, size=4)


@asynccontextmanager
async def desk(folder, index=1):
    """The clients that a desk has taken."""
    taken: asyncio.Queue = asyncio.Queue()
    async with Isolating() as group:
        one = HandingDesk(
            folder, index, lambda *client: taken.put_nowait(client), group=group, clock=SystemClock()
        )
        one.open()
        try:
            yield taken
        finally:
            one.close()
            while not taken.empty():
                taken.get_nowait()[2].close()


@pytest.fixture
def pair():
    """The two ends of a client's connection."""
    near, far = socket.socketpair()
    far.setblocking(False)
    with near, far:
        yield near, far


async def taken_by(queue):
    async with asyncio.timeout(20):
        return await queue.get()


async def test_a_client_goes_over_with_its_socket(tmp_path, pair):
    near, far = pair
    async with desk(tmp_path) as taken:
        await Giver(tmp_path, clock=SystemClock()).give(1, CLIENT, b"said", far)
        handed, recorded, client = await taken_by(taken)
        far.close()
        with client:
            assert (handed, recorded) == (CLIENT, b"said")
            assert not client.getblocking()
            client.send(b"hello")
            assert near.recv(5) == b"hello"
        assert near.recv(1) == b""


async def test_a_client_of_tls_is_piped(tmp_path):
    async with desk(tmp_path) as taken:
        with await Giver(tmp_path, clock=SystemClock()).pipe(1, PIPED, b"said") as line:
            handed, _, other = await taken_by(taken)
            with other:
                assert handed == PIPED
                line.send(b"more")
                async with asyncio.timeout(20):
                    assert await asyncio.get_running_loop().sock_recv(other, 4) == b"more"


async def test_much_that_was_said_goes_with_it(tmp_path, pair):
    """More than a socket holds."""
    said = bytes(range(256)) * 1500
    async with desk(tmp_path) as taken:
        handed = Handed("192.0.2.1", 5, 1935, size=len(said))
        await Giver(tmp_path, clock=SystemClock()).give(1, handed, said, pair[1])
        _, recorded, client = await taken_by(taken)
        client.close()
        assert recorded == said


async def test_many_at_once(tmp_path):
    async with desk(tmp_path) as taken:
        giver = Giver(tmp_path, clock=SystemClock())
        pairs = [socket.socketpair() for _ in range(50)]
        async with asyncio.TaskGroup() as group:
            for number, (_, far) in enumerate(pairs):
                group.create_task(giver.give(1, Handed(f"h{number}", 1, 2), b"", far))
        for near, far in pairs:
            near.close()
            far.close()
        names = {(await taken_by(taken)) for _ in pairs}
        for _, _, client in names:
            client.close()
        assert {handed.host for handed, _, _ in names} == {f"h{number}" for number in range(50)}


async def test_a_worker_that_is_started_again_is_waited_for(tmp_path, pair):
    clock = VirtualClock()
    giving_away = asyncio.create_task(Giver(tmp_path, clock=clock).give(1, CLIENT, b"said", pair[1]))
    await clock.elapse(PATIENCE_SECONDS - 1)
    assert not giving_away.done()
    async with desk(tmp_path) as taken:
        await clock.elapse(0.5)
        (await taken_by(taken))[2].close()
        await giving_away


async def test_nobody_waits_for_ever(tmp_path, pair):
    clock = VirtualClock()
    giving_away = asyncio.create_task(Giver(tmp_path, clock=clock).give(1, CLIENT, b"said", pair[1]))
    await clock.elapse(PATIENCE_SECONDS + 1)
    with pytest.raises(FileNotFoundError):
        await giving_away


@asynccontextmanager
async def listening(folder, answer):
    """Somebody else at the desk, who answers so and hangs up."""

    async def meet(reader, writer):
        with suppress(ConnectionError):
            writer.write(answer)
            await writer.drain()
            writer.close()

    async with await asyncio.start_unix_server(meet, place_of(folder, 1)):
        yield


@pytest.mark.parametrize("answer", [b"", b"\0"])
async def test_who_was_not_taken_is_still_ours(tmp_path, pair, answer):
    clock = VirtualClock()
    async with listening(tmp_path, answer):
        giving_away = asyncio.create_task(Giver(tmp_path, clock=clock).give(1, CLIENT, b"said", pair[1]))
        while not giving_away.done():
            await clock.elapse(0.5)
            await asyncio.sleep(0)
        assert isinstance(giving_away.exception(), OSError)
    near, far = pair
    far.send(b"ours")
    assert near.recv(4) == b"ours"


async def test_a_worker_that_hangs_takes_nobody_later(tmp_path, pair, monkeypatch):
    """What it would say then cannot be sent any more."""
    monkeypatch.setattr(giving, "_STEP_SECONDS", 0.05)
    clock = VirtualClock()
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(bytes(place_of(tmp_path, 1)))
        hanging.listen()
        giving_away = asyncio.create_task(Giver(tmp_path, clock=clock).give(1, CLIENT, b"said", pair[1]))
        async with asyncio.timeout(20):
            while not giving_away.done():
                clock.advance(0.5)
                await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            giving_away.result()
        line, _ = hanging.accept()
        with line, pytest.raises(BrokenPipeError):
            line.send(TAKEN)


async def test_who_is_taken_at_the_last_moment_is_not_kept_too():
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.send(TAKEN)
        assert giving._was_taken(one)


@pytest.mark.parametrize(
    ("data", "with_socket"),
    [
        (b"\0\0", False),
        (b"\0\0\0\0more", True),
        (b"\xff\xff\xff\xff", True),
        (b"\0\0\0\x02{}", True),
        (encode(CLIENT, b"said"), False),
        (encode(PIPED, b"said"), True),
        (encode(CLIENT, b"sa"), True),
    ],
)
async def test_what_is_no_client_is_closed(tmp_path, pair, data, with_socket):
    near, far = pair
    loop = asyncio.get_running_loop()
    async with desk(tmp_path) as taken:
        with socket.socket(socket.AF_UNIX) as line:
            line.setblocking(False)
            await loop.sock_connect(line, bytes(place_of(tmp_path, 1)))
            socket.send_fds(line, [data], [far.fileno()] if with_socket else [])
            far.close()
            line.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(20):
                with suppress(ConnectionResetError):
                    assert await loop.sock_recv(line, 1) == b""
        near.settimeout(20)
        assert near.recv(1) == b""
        assert taken.empty()


async def test_a_successor_takes_the_place(tmp_path, pair):
    async with desk(tmp_path) as before, desk(tmp_path) as after:
        await Giver(tmp_path, clock=SystemClock()).give(1, CLIENT, b"said", pair[1])
        (await taken_by(after))[2].close()
        assert before.empty()
