"""Sources: who waits for a primary, or a replica, gets it when there is one."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabasePool
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import Welcome
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.pool_limits import PoolLimits
from marchproxy.modules.dblb.postgres.routing.cluster import Cluster
from marchproxy.modules.dblb.postgres.routing.sight import Sight
from marchproxy.modules.dblb.postgres.routing.sources import Primary, Replicas
from tests.unit.modules.dblb.postgres.link_doubles import Waiter, Wire

A, B = HostPort("10.0.0.1", 1), HostPort("10.0.0.1", 2)


class World:
    def __init__(self, group: asyncio.TaskGroup, *, wait: float = 60.0) -> None:
        options = DatabasePool(monitor="m", wait=wait)
        endpoints = (Endpoint(str(A)), Endpoint(str(B)))
        upstream = Upstream(BackendPool(PoolName("main"), endpoints=endpoints, database=options), options)
        self.cluster = Cluster(upstream, self._never, group, SystemClock())
        self.reachable = {A, B}
        self.ended = asyncio.Event()
        self.where: dict[Link, HostPort] = {}
        self.pools = {address: self._pool(address, group) for address in (A, B)}

    def see(self, address: HostPort, *, standby: bool, timeline: int = 1) -> None:
        asked = SystemClock().monotonic()
        sight = Sight(asked, 0.0, standby=standby, position=1, timeline=timeline, writable=not standby)
        self.cluster.saw(address, sight)

    def of(self, waiter: Waiter) -> HostPort | None:
        return None if waiter.link is None else self.where[waiter.link]

    def _pool(self, address: HostPort, group: asyncio.TaskGroup) -> Pool:
        async def dial(pool: Pool) -> Link:
            if address not in self.reachable:
                await self.ended.wait()
                raise ConnectionRefusedError
            link = Link(pool, statement_bytes=1000, now=0.0)
            link.connection_made(Wire())
            link.begin(Welcome({"TimeZone": str(address)}))
            self.where[link] = address
            return link

        return Pool(str(address), dial, PoolLimits(dial=60.0), group, SystemClock())

    async def _never(self, _address: HostPort) -> object:
        await asyncio.Event().wait()
        raise AssertionError


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., World]]:
    worlds: list[World] = []
    async with asyncio.TaskGroup() as group:

        def world(**options: float) -> World:
            worlds.append(World(group, **options))
            return worlds[-1]

        yield world
        for one in worlds:
            one.cluster.close()
            one.ended.set()


async def test_who_waits_for_a_primary_gets_the_one_that_is_seen(make):
    world = make()
    source = Primary(world.cluster, world.pools.__getitem__, SystemClock())
    world.cluster.changed = source.settle
    waiters = [Waiter() for _ in range(3)]
    for waiter in waiters:
        assert source.acquire(waiter) is None
    source.give_up(waiters[1])
    world.see(B, standby=False)
    await turns()
    assert [world.of(waiter) for waiter in waiters] == [B, None, B]
    assert source.reported == {"TimeZone": str(B)}


async def test_who_waits_for_a_former_primary_goes_on_to_the_new_one(make):
    world = make()
    source = Primary(world.cluster, world.pools.__getitem__, SystemClock())
    world.cluster.changed = source.settle
    world.see(A, standby=False)
    first = Waiter()
    first.link = source.acquire(first)
    await turns()
    assert world.of(first) == A
    world.reachable.discard(A)
    waiting = [Waiter() for _ in range(2)]
    for waiter in waiting:
        assert source.acquire(waiter) is None
    world.see(B, standby=False, timeline=2)
    await turns()
    assert [world.of(waiter) for waiter in waiting] == [B, B]
    assert first.link is not None
    world.pools[A].release(first.link)
    assert world.pools[A].links == 0  # nobody gets a link of the former primary


async def test_who_waits_too_long_is_told_so(make):
    world = make(wait=0.01)
    for kind, words in (
        (Primary, "no primary was seen"),
        (Replicas, "no replica of pool main was recent enough"),
    ):
        source = kind(world.cluster, world.pools.__getitem__, SystemClock())
        waiter = Waiter()
        assert source.acquire(waiter) is None
        async with asyncio.timeout(10):
            while not waiter.reason:
                await asyncio.sleep(0.005)
        assert words in waiter.reason
        source.close()


async def test_who_only_reads_gets_a_replica_when_there_is_one(make):
    world = make()
    source = Replicas(world.cluster, world.pools.__getitem__, SystemClock())
    world.cluster.changed = source.settle
    world.see(A, standby=False)
    waiter = Waiter()
    assert source.acquire(waiter) is None
    await turns()
    assert world.of(waiter) is None
    world.see(B, standby=True)
    await turns()
    assert world.of(waiter) == B
