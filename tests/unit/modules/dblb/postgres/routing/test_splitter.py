"""Splitter: one session's reads, from its requests to the bytes on a replica's link, and back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

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
from marchproxy.modules.dblb.postgres.requests import INTERESTS, Requests
from marchproxy.modules.dblb.postgres.routing.cluster import Cluster
from marchproxy.modules.dblb.postgres.routing.sight import Sight
from marchproxy.modules.dblb.postgres.routing.splitter import Reads, Splitter
from marchproxy.modules.dblb.postgres.routing.units import Unit
from marchproxy.modules.dblb.postgres.settling import Settings
from marchproxy.modules.dblb.postgres.statements import Catalogue
from marchproxy.modules.dblb.sql import Volatility
from marchproxy.modules.dblb.tally import Tally
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.framing import Framer
from tests.unit.modules.dblb.postgres.link_doubles import Wire

A, B = HostPort("10.0.0.1", 1), HostPort("10.0.0.1", 2)
READ, WRITE = encode.query("select 1"), encode.query("insert into t values (1)")
BEGIN, COMMIT = encode.query("begin read only"), encode.query("commit")
ROW, IDLE, OPEN = b"D\0\0\0\4C\0\0\0\5\0", encode.ready(ord("I")), encode.ready(ord("T"))
REFUSED, CANCELLED = encode.error("25006", "read-only"), encode.error("57014", "cancelled")
NOTICE = b"N\0\0\0\5\0"


class Known:
    def volatility(self, function: str) -> Volatility | None:
        return Volatility.STABLE

    def is_primarys(self, tables: frozenset[str]) -> bool | None:
        return False


@dataclass
class Client:
    """A session that notes what it is told."""

    told: bytes = b""
    events: list[str] = field(default_factory=list)
    rest: Unit | None = None
    tally: Tally = field(default_factory=Tally)
    beside: Tally = field(default_factory=Tally)
    requests: Requests = field(default_factory=lambda: Requests(Catalogue(most_bytes=1000)))

    def tally_in(self, pool: PoolName) -> Tally:
        return self.tally if pool == "main" else self.beside

    def tell(self, words: bytes) -> None:
        self.told += words

    def settle(self, link: Link) -> None: ...

    def settled(self, link: Link) -> None: ...

    def leaves(self, link: Link, text: bytes) -> str:
        assert link.holder is not None
        return "listen" if b"listen" in text else ""

    def read_elsewhere(self, rest: Unit | None) -> None:
        self.events.append("elsewhere")
        self.rest = rest

    def read_here(self) -> None:
        self.events.append("here")

    def lost(self, reason: str) -> None:
        self.events.append(f"lost: {reason}")

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class World:
    """A primary A and a replica B, which is as far as `b`; a session in front of them."""

    def __init__(self, group: asyncio.TaskGroup, *, catch_up: float = 5.0) -> None:
        endpoints = (Endpoint(str(A)), Endpoint(str(B)))
        options = DatabasePool(monitor="m")
        upstream = Upstream(BackendPool(PoolName("main"), endpoints=endpoints, database=options), options)
        self.group = group
        self.cluster = Cluster(upstream, self._never, group, SystemClock())
        self.links: dict[HostPort, Link] = {}
        self.pools = {address: self._pool(address, group) for address in (A, B)}
        self.client = Client()
        reads = Reads(
            self.cluster, [(self.cluster, 100)], lambda _, at: self.pools[at], Known(), catch_up=catch_up
        )
        self.now = 100.0
        self.splitter = Splitter(self.client, reads, lambda: self.now)
        self.see(100, 100)

    def see(self, a: int, b: int) -> None:
        asked = SystemClock().monotonic()
        self.cluster.saw(A, Sight(asked, 0.0, standby=False, position=a, timeline=1))
        self.cluster.saw(B, Sight(asked, 0.0, standby=True, position=b, timeline=1, writable=False))

    def ask(self, data: bytes) -> bool:
        """Whether the splitter takes it."""
        cut, events = Framer(INTERESTS, longest=1 << 20).feed(data)
        taken = self.splitter.takes((cut, events), Settings())
        if taken:
            self.splitter.go((cut, events))
        return taken

    async def sent(self) -> bytes:
        """What the replica was sent."""
        await turns()
        return self.wire.take() if B in self.links else b""

    @property
    def link(self) -> Link:
        return self.links[B]

    @property
    def wire(self) -> Wire:
        wire = self.link.transport
        assert isinstance(wire, Wire)
        return wire

    def _pool(self, address: HostPort, group: asyncio.TaskGroup) -> Pool:
        async def dial(pool: Pool) -> Link:
            await asyncio.sleep(0)
            link = Link(pool, statement_bytes=1000, now=0.0)
            link.connection_made(Wire())
            link.begin(Welcome({"TimeZone": "UTC"}))
            self.links[address] = link
            return link

        return Pool(str(address), dial, PoolLimits(), group, SystemClock())

    async def _never(self, _address: HostPort) -> object:
        await asyncio.Event().wait()
        raise AssertionError


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        world = World(group)
        yield world
        world.splitter.leave()
        world.cluster.close()


async def test_a_read_is_asked_of_the_replica_and_answered(world):
    assert world.ask(READ)
    assert await world.sent() == READ
    world.link.data_received(ROW + IDLE)
    assert (world.client.told, world.client.events) == (ROW + IDLE, ["elsewhere"])
    assert world.splitter.link is None
    assert world.pools[B].idle == 1
    assert (world.client.tally.to_replicas, world.client.tally.queries) == (1, 1)


async def test_a_write_is_not(world):
    assert not world.ask(WRITE)


@pytest.mark.parametrize(
    "answer",
    [
        [REFUSED + IDLE],
        [REFUSED, IDLE],
        [NOTICE, REFUSED, IDLE],
        [ROW + REFUSED + IDLE],
        [NOTICE, None],
        [None],
    ],
)
async def test_what_the_replica_refuses_is_for_the_primary_as_long_as_nothing_was_told(world, answer):
    assert world.ask(READ)
    await world.sent()
    for data in answer:
        if data is None:
            world.link.connection_lost(None)
        else:
            world.link.data_received(data)
    assert (world.client.told, world.client.events) == (b"", ["here"])
    assert world.client.tally.retried == 1
    assert world.splitter.link is None


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (ROW + IDLE, (1, 0, 0)),
        (encode.error("42P01", "no such table") + IDLE, (1, 1, 0)),
        (encode.error("25006", "it only reads") + IDLE, (0, 0, 0)),  # a primary would have answered
        (None, (1, 1, 1)),
    ],
    ids=("answered", "lacking", "a replica", "lost"),
)
async def test_what_another_pool_is_asked_counts_there(world, answer, counts):
    options = world.cluster.upstream.options
    pool = BackendPool(PoolName("beside"), endpoints=(Endpoint(str(B)),), database=options)
    beside = Cluster(Upstream(pool, options), world._never, world.group, SystemClock())
    beside.saw(B, Sight(SystemClock().monotonic(), 0.0, standby=False, position=1, timeline=1))
    world.splitter.change(
        Reads(world.cluster, [(world.cluster, 0), (beside, 100)], lambda _, at: world.pools[at], Known())
    )
    assert world.ask(READ)
    await world.sent()
    if answer is None:
        world.link.connection_lost(None)
    else:
        world.link.data_received(answer)
    tally = world.client.beside
    assert (tally.queries, tally.errors, tally.unserved) == counts
    assert (world.client.tally.queries, world.client.tally.errors) == (0, 0)
    beside.close()


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        ([ROW, REFUSED + IDLE], "elsewhere"),
        ([CANCELLED + IDLE], "elsewhere"),
        ([ROW, None], "lost: the server closed the connection"),
    ],
)
async def test_what_was_begun_to_be_told_is_told_to_its_end(world, answer, event):
    assert world.ask(READ)
    await world.sent()
    for data in answer:
        if data is None:
            world.link.connection_lost(None)
        else:
            world.link.data_received(data)
    assert world.client.told == b"".join(data for data in answer if data is not None)
    assert world.client.events == [event]
    assert world.client.tally.retried == 0


async def test_a_transaction_stays_and_what_is_behind_its_end_is_judged_anew(world):
    assert world.ask(BEGIN)
    assert await world.sent() == BEGIN
    world.link.data_received(ROW + OPEN)
    assert world.client.events == ["elsewhere"]
    assert world.ask(COMMIT + WRITE)  # by then it is not known where the transaction ends
    assert await world.sent() == COMMIT
    world.link.data_received(ROW + IDLE)
    assert world.client.rest is not None
    assert world.client.rest[0] == WRITE
    assert world.client.rest[1] == [(ord("Q"), 0, len(WRITE))]
    assert not world.ask(WRITE)


async def test_what_would_outlast_a_transaction_on_a_replica_is_refused(world):
    assert world.ask(BEGIN)
    await world.sent()
    world.link.data_received(ROW + OPEN)
    world.client.told = b""
    assert world.ask(encode.query("listen here") + COMMIT)
    assert await world.sent() == b""
    assert b"C25006" in world.client.told
    assert world.client.told.endswith(OPEN)
    assert world.client.rest is not None
    assert world.client.rest[0] == COMMIT


async def test_after_a_write_the_primary_is_asked_and_a_replica_that_has_it_answers(world):
    assert not world.ask(WRITE)
    world.now = SystemClock().monotonic()
    assert world.ask(READ)
    assert await world.sent() == b""
    world.cluster.saw(B, Sight(world.now, 0.0, standby=True, position=150, timeline=1, writable=False))
    assert await world.sent() == b""  # nobody knows yet up to where the client has written
    world.see(200, 150)
    assert await world.sent() == b""
    world.see(210, 200)
    assert await world.sent() == READ
    world.link.data_received(ROW + IDLE)
    world.see(220, 200)
    assert world.ask(READ)  # it has not written since
    assert await world.sent() == READ


async def test_a_look_from_before_the_write_ended_says_nothing(world):
    assert not world.ask(WRITE)
    world.now = SystemClock().monotonic() + 1000
    assert world.ask(READ)
    world.cluster.saw(A, Sight(world.now - 1, 0.0, standby=False, position=100, timeline=1))
    assert await world.sent() == b""
    world.cluster.saw(A, Sight(world.now, 0.0, standby=False, position=100, timeline=1))
    assert await world.sent() == READ


@pytest.mark.parametrize("catch_up", [0.0, 0.01])
async def test_who_does_not_catch_up_in_time_is_not_read(catch_up):
    async with asyncio.TaskGroup() as group:
        world = World(group, catch_up=catch_up)
        assert not world.ask(WRITE)
        if world.ask(READ):
            assert catch_up
            async with asyncio.timeout(10):
                while not world.client.events:
                    await asyncio.sleep(0.001)
            assert world.client.events == ["here"]
        else:
            assert not catch_up
        world.cluster.close()


async def test_without_a_replica_everything_is_the_primarys(world):
    world.cluster.saw(B, Sight(SystemClock().monotonic(), 0.0, standby=True, position=1, timeline=0))
    world.cluster.missed(B, "gone", answered=False)
    world.cluster.missed(B, "gone", answered=False)
    assert not world.ask(READ)


async def test_who_leaves_is_served_no_more(world):
    assert world.ask(READ)
    await world.sent()
    link = world.splitter.leave()
    assert link is world.link
    assert world.splitter.link is None
