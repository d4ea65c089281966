"""Pools: who gets a link, when one is opened, and what becomes of those that wait."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import LoginRefused, Welcome
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.pool_limits import PoolLimits
from marchproxy.wire.postgres.backend import ErrorFields
from tests.unit.modules.dblb.postgres.link_doubles import Waiter, Wire


class World:
    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.group = group
        self.dialled = 0
        self.failure: Exception | None = None

    def pool(self, **limits: float) -> Pool:
        return Pool("test", self._dial, PoolLimits(**limits), self.group, SystemClock())

    async def _dial(self, pool: Pool) -> Link:
        self.dialled += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        link = Link(pool, statement_bytes=1000, now=0.0)
        link.connection_made(Wire())
        link.begin(Welcome({"TimeZone": "UTC"}))
        return link


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        yield World(group)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def ask(pool: Pool, count: int) -> list[Waiter]:
    waiters = [Waiter() for _ in range(count)]
    for waiter in waiters:
        waiter.link = pool.acquire(waiter)
    await turns()
    return waiters


async def test_as_many_links_as_are_wanted_and_allowed(world):
    pool = world.pool(size=3)
    first, second = await ask(pool, 2)
    assert first.link
    assert second.link
    assert world.dialled == pool.links == 2
    third, fourth, fifth = await ask(pool, 3)
    assert third.link
    assert (fourth.link, fifth.link, pool.waiting) == (None, None, 2)
    pool.release(first.link)
    assert fourth.link is first.link  # who came first
    pool.release(second.link)
    assert fifth.link is second.link
    pool.close()


async def test_the_link_that_was_used_last_is_given_first(world):
    pool = world.pool(size=2)
    one, two = await ask(pool, 2)
    pool.release(one.link)
    pool.release(two.link)
    assert pool.acquire(Waiter()) is two.link
    assert pool.reported == {"TimeZone": "UTC"}
    pool.close()


async def test_who_waits_too_long_is_told(world):
    pool = world.pool(size=1, wait=0.01)
    await ask(pool, 1)
    (late,) = await ask(pool, 1)
    async with asyncio.timeout(5):
        while not late.reason:
            await asyncio.sleep(0.005)
    assert "within 0.01 s" in late.reason
    assert pool.waiting == 0
    pool.close()


async def test_who_gives_up_gets_nothing(world):
    pool = world.pool(size=1)
    (first,) = await ask(pool, 1)
    gone, patient = await ask(pool, 2)
    pool.give_up(gone)
    pool.release(first.link)
    assert gone.link is None
    assert patient.link is first.link
    pool.close()


async def test_a_link_that_is_lost_is_replaced(world):
    pool = world.pool(size=1)
    (first,) = await ask(pool, 1)
    (second,) = await ask(pool, 1)
    assert second.link is None
    pool.lost(first.link)
    await turns()
    assert second.link is not None
    pool.close()


async def test_a_link_that_is_being_interrupted_is_nobodys(world):
    pool = world.pool(size=1)
    (first,) = await ask(pool, 1)
    first.link.cancelling = 1
    (second,) = await ask(pool, 1)
    pool.release(first.link)
    assert second.link is None
    first.link.cancel_heard()
    assert second.link is first.link
    pool.close()


@pytest.mark.parametrize("code", ["28P01", "3D000"])
async def test_a_login_that_is_refused_for_good_is_told_at_once(world, code):
    world.failure = LoginRefused("no", ErrorFields("FATAL", code, "no"))
    pool = world.pool(size=1)
    (waiter,) = await ask(pool, 1)
    assert waiter.reason == "no"
    pool.close()


@pytest.mark.parametrize("failure", [OSError("refused"), PeerGone("gone"), LoginRefused("starting up", ErrorFields("FATAL", "57P03", ""))])  # fmt: skip
async def test_other_failures_are_tried_again(world, failure):
    world.failure = failure
    pool = world.pool(size=1)
    (waiter,) = await ask(pool, 1)
    assert (waiter.link, waiter.reason) == (None, "")
    world.failure = None
    async with asyncio.timeout(5):
        while waiter.link is None:
            await asyncio.sleep(0.01)
    pool.close()


async def test_closing_sends_everybody_away(world):
    pool = world.pool(size=1)
    (first,) = await ask(pool, 1)
    (waiter,) = await ask(pool, 1)
    pool.close()
    assert waiter.reason == "the proxy is stopping"
    assert first.link.transport.is_closing()


async def test_old_and_idle_links_go(world):
    pool = world.pool(size=2, idle=0.0, lifetime=0.001)
    one, two = await ask(pool, 2)
    pool.release(one.link)
    pool.sweep()
    assert one.link.transport.is_closing()
    assert not two.link.transport.is_closing()  # somebody has it
    pool.release(two.link)
    assert two.link.transport.is_closing()
    assert pool.links == 0
    pool.close()


async def test_a_link_that_comes_after_the_end_is_closed(world):
    pool = world.pool(size=1)
    waiter = Waiter()
    pool.acquire(waiter)
    await asyncio.sleep(0)
    pool.close()
    await turns()
    assert (waiter.link, waiter.reason, pool.links) == (None, "the proxy is stopping", 0)
    assert world.dialled == 1
