"""Recycling: what a server is told when a client has left, as the server's own words have it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import Welcome
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.pool_limits import PoolLimits
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.flow import Owed
from tests.unit.modules.dblb.postgres.link_doubles import Waiter, Wire

ROLLBACK, RESET = encode.query("ROLLBACK"), encode.query("DISCARD ALL")
IDLE, OPEN, FAILED = (encode.ready(ord(status)) for status in "ITE")
PARSED = b"1\0\0\0\4"


class _Client:
    """Hears whatever it is told."""

    def answered(self, link: Link, data: bytes) -> None:
        pass

    heard = answered


def done(tag: bytes) -> bytes:
    return b"C" + (len(tag) + 5).to_bytes(4) + tag + b"\0"


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async def dial(pool: Pool) -> Link:
        link = Link(pool, statement_bytes=1000, now=0.0)
        link.connection_made(Wire())
        link.begin(Welcome({}))
        return link

    async with asyncio.TaskGroup() as group:
        pool = Pool("test", dial, PoolLimits(), group, SystemClock())
        yield pool
        pool.close()


async def used(pool: Pool, answer: bytes) -> Link:
    """A link that a client has, after a query that was answered so."""
    waiter = Waiter()
    pool.acquire(waiter)
    async with asyncio.timeout(30):
        while waiter.link is None:
            await asyncio.sleep(0)
    link = waiter.link
    link.state.flow.sent(Owed.QUERY)
    link.holder = _Client()
    link.data_received(answer)
    return link


@pytest.mark.parametrize(
    ("answer", "reset", "sent"),
    [
        (done(b"SELECT 1") + IDLE, False, b""),
        (done(b"SELECT 1") + IDLE, True, RESET),
        (done(b"BEGIN") + OPEN, False, ROLLBACK),
        (done(b"BEGIN") + OPEN, True, ROLLBACK + RESET),
        (done(b"BEGIN") + FAILED, False, ROLLBACK),
        (done(b"BEGIN") + FAILED, True, ROLLBACK + RESET),
    ],
)
async def test_only_a_transaction_is_rolled_back(pool, answer, reset, sent):
    link = await used(pool, answer)
    pool.recycle(link, reset=reset)
    assert link.transport.take() == sent
    for number, query in enumerate([ROLLBACK] * (ROLLBACK in sent) + [RESET] * reset):
        assert pool.idle == 0, number
        link.data_received(done(query[5:-1]) + IDLE)
    assert pool.acquire(Waiter()) is link
    assert link.transport.take() == b""


@pytest.mark.parametrize(
    ("status", "reset", "sent"),
    [
        (IDLE, False, b""),
        (IDLE, True, RESET),
        (OPEN, False, ROLLBACK),
        (OPEN, True, ROLLBACK + RESET),
        (FAILED, False, ROLLBACK),
    ],
)
async def test_what_lacks_a_sync_gets_one_before_anybody_knows_of_a_transaction(pool, status, reset, sent):
    link = await used(pool, done(b"SELECT 1") + IDLE)
    link.state.flow.sent(Owed.PARSE)
    link.data_received(PARSED)
    pool.recycle(link, reset=reset)
    assert link.transport.take() == encode.SYNC
    link.data_received(status)
    assert link.transport.take() == sent
    if sent:
        assert pool.idle == 0
        link.data_received(
            (done(b"ROLLBACK") + IDLE) * (ROLLBACK in sent) + (done(b"DISCARD ALL") + IDLE) * reset
        )
    assert pool.acquire(Waiter()) is link


async def test_a_reset_that_is_refused_ends_the_link(pool):
    link = await used(pool, done(b"SELECT 1") + IDLE)
    pool.recycle(link, reset=True)
    link.data_received(encode.error("42501", "no") + IDLE)
    assert link.transport.is_closing()
    assert (pool.links, pool.idle) == (0, 0)
