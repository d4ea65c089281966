"""The load client against small servers: it must count what happens, above all what goes wrong."""

import asyncio
from contextlib import asynccontextmanager

from marchproxy.cli.demo.load import Bounds, run_load
from marchproxy.kit.settings import HostPort

OK = b"HTTP/1.1 200 OK\r\nX-Version: v1\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def server(answers):
    """Answers request number n with `answers(n)`; None closes the connection without an answer."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                count += 1
                answer = answers(count)
                if answer is None:
                    return
                writer.write(answer)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as running:
        yield HostPort("127.0.0.1", running.sockets[0].getsockname()[1])


async def test_every_request_of_the_budget_is_sent_once():
    seen = []
    async with server(lambda n: (seen.append(n), OK)[1]) as address:
        load = await run_load(address, Bounds(requests=100), connections=4)
    assert len(seen) == load.answered == load.statuses[200] == 100
    assert load.versions == {"v1": 100}
    assert load.failed == 0
    assert 0 < load.percentile(0.5) <= load.percentile(0.99)


async def test_a_connection_that_breaks_under_a_request_is_a_failure():
    async with server(lambda n: None if n == 3 else OK) as address:
        load = await run_load(address, Bounds(requests=10), connections=1)
    assert load.answered == 9
    assert load.failed == 1


async def test_a_server_that_closes_after_each_answer_breaks_nothing():
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    async with server(lambda _: closing) as address:
        load = await run_load(address, Bounds(requests=10), connections=2)
    assert (load.answered, load.failed) == (10, 0)


async def test_refusals_are_counted_apart_from_failures():
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    error = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 11\r\n\r\nno upstream"
    async with server(lambda n: {1: refusal, 2: error}.get(n, OK)) as address:
        load = await run_load(address, Bounds(requests=5), connections=1)
    assert load.statuses == {429: 1, 503: 1, 200: 3}
    assert load.failed == 1
    assert load.last_refusal["retry-after"] == "1"
    assert load.complaints == {"503 no upstream": 1}


async def test_nobody_there_ends_with_failures():
    async with server(lambda _: OK) as address:
        pass
    load = await run_load(address, Bounds(requests=3), connections=1)
    assert load.answered == 0
    assert load.failed >= 3


async def test_a_load_by_time_ends():
    async with server(lambda _: OK) as address:
        load = await run_load(address, Bounds(seconds=1.0), connections=2)
    assert load.answered > 0
    assert load.seconds >= 1.0
