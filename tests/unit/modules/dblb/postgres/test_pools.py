"""Whose links are whose, where clients of one user show servers different things."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabasePool
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.modules.dblb.gate import OpenGate
from marchproxy.modules.dblb.plan import DblbPlan, Upstream
from marchproxy.modules.dblb.postgres import pools as module
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import Credentials, Welcome
from marchproxy.modules.dblb.postgres.pool import Pool
from marchproxy.modules.dblb.postgres.pools import Pools
from marchproxy.modules.dblb.postgres.scram_keys import ScramKeys
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tallies
from tests.unit.modules.dblb.postgres.link_doubles import Waiter, Wire

ADDRESS = HostPort("127.0.0.1", 1)
KEYS = ScramKeys(b"client", b"server", b"salt", 4096)


class World:
    """Pools of two links, and with what each link was opened."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.shown: list[object] = []
        around = Surroundings(group, SystemClock(), Tallies(), OpenGate())
        self.pools = Pools(around)

    def upstream(self, **passwords: str) -> Upstream:
        pool = BackendPool(PoolName("p"), protocol=Protocol.POSTGRES, endpoints=(Endpoint(str(ADDRESS)),))
        return Upstream(pool, DatabasePool(size=2), passwords)

    def get(self, proof: str | ScramKeys, **passwords: str) -> Pool:
        return self.pools.get(self.upstream(**passwords), ADDRESS, Credentials("ann", "app", proof))

    def apply(self, **passwords: str) -> None:
        upstream = self.upstream(**passwords)
        self.pools.apply(DblbPlan(upstreams={upstream.name: upstream}))

    async def use(self, pool: Pool) -> Waiter:
        """Somebody asks for a link, and keeps it."""
        waiter = Waiter()
        waiter.link = pool.acquire(waiter)
        for _ in range(5):
            await asyncio.sleep(0)
        return waiter

    async def dial(self, target, owner, *, now):
        self.shown.append(target.credentials.password)
        link = Link(owner, statement_bytes=1000, now=now)
        link.connection_made(Wire())
        link.begin(Welcome({"TimeZone": "UTC"}))
        return link


@pytest.fixture
async def world(monkeypatch) -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        world = World(group)
        monkeypatch.setattr(module, "dial", world.dial)
        yield world
        world.pools.close()


async def test_links_stay_when_clients_show_different_things_in_turn(world):
    for _ in range(3):
        for proof in ("secret", KEYS):
            pool = world.get(proof)
            client = await world.use(pool)
            pool.release(client.link)
    assert world.shown == ["secret", KEYS]


async def test_nobody_has_what_another_has_shown(world):
    one, other = world.get("secret"), world.get("")
    client = await world.use(one)
    one.release(client.link)
    await world.use(other)
    assert world.shown == ["secret", ""]


async def test_together_they_have_as_many_links_as_one(world):
    one, other = world.get("secret"), world.get(KEYS)
    first, second = await world.use(one), await world.use(one)
    third = await world.use(other)
    assert third.link is None
    one.release(first.link)  # its idle link makes room
    for _ in range(5):
        await asyncio.sleep(0)
    assert third.link
    assert (one.links, other.links) == (1, 1)
    assert second.link


async def test_a_password_in_the_upstreams_file_is_everybodys(world):
    one, other = world.get("secret"), world.get(KEYS)
    first, second = await world.use(one), await world.use(other)
    world.apply(ann="filed")
    assert world.get("secret", ann="filed") is world.get(KEYS, ann="filed")
    for client in (first, second):
        assert client.link.retiring
        client.link.owner.release(client.link)
    await world.use(world.get("secret", ann="filed"))
    assert world.shown == ["secret", KEYS, "filed"]
    world.pools.sweep()
    assert [gauge.connections for gauge in world.pools.gauges()] == [1]


async def test_pools_that_nobody_uses_are_gone_with_the_next_plan_but_the_newest(world):
    used, unused, newest = world.get("secret"), world.get("old"), world.get(KEYS)
    await world.use(used)
    world.apply()
    assert world.get("secret") is used
    assert world.get(KEYS) is newest
    assert world.get("old") is not unused


async def test_who_waits_in_a_pool_that_leaves_is_served_and_then_it_is_empty(world):
    pool = world.get("secret")
    client = Waiter()
    assert pool.acquire(client) is None
    world.pools.apply(DblbPlan())
    world.pools.sweep()
    for _ in range(5):
        await asyncio.sleep(0)
    assert client.link
    pool.release(client.link)
    world.pools.sweep()
    assert (pool.links, client.link.transport.is_closing()) == (0, True)
