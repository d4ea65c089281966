"""Desk: what sessions that could not be opened say of a server, to those who read from it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabasePool, DatabaseRoute, ReadTarget
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint, HealthCheck, OutlierDetection
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.dblb.gate import OPEN, OpenGate
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Upstream, Who
from marchproxy.modules.dblb.postgres import pools as dialling
from marchproxy.modules.dblb.postgres.login import LoginRefused
from marchproxy.modules.dblb.postgres.pools import Pools
from marchproxy.modules.dblb.postgres.routing import desk as module
from marchproxy.modules.dblb.postgres.routing.desk import Desk
from marchproxy.modules.dblb.postgres.routing.sight import Sight
from marchproxy.modules.dblb.postgres.stay import Stay
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tallies, Tally
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres.backend import ErrorFields
from tests.unit.modules.dblb.postgres.link_doubles import Waiter

A, B, C = (HostPort("10.0.0.1", port) for port in (1, 2, 3))


class World:
    """A primary and two replicas, of which one failure is enough to be left out."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.failure: Exception = OSError()
        self.route, plan = _plan()
        around = Surroundings(group, SystemClock(), Tallies(), OpenGate())
        self.pools = Pools(around)
        self.desk = Desk(around, self.pools)
        self.pools.apply(plan)
        self.desk.apply(plan)
        (self.cluster,) = self.desk._clusters.values()
        asked = SystemClock().monotonic()
        for address in (A, B, C):
            sight = Sight(asked, 0.0, standby=address != A, position=1, timeline=1, writable=address == A)
            self.cluster.saw(address, sight)

    async def read(self) -> str:
        """Somebody wants a session on a replica; why there is none."""
        upstream, _ = self.route.backends[0]
        stay = Stay(Who("ann", "app"), "stale", self.route, upstream, OPEN, Tally(), Tallies())
        source, waiter = self.desk.source(stay), Waiter()
        assert source.acquire(waiter) is None
        async with asyncio.timeout(30):
            while not waiter.reason:
                await asyncio.sleep(0)
        return waiter.reason

    async def dial(self, _target, _owner, *, now):
        raise self.failure


def _plan() -> tuple[RoutePlan, DblbPlan]:
    pool = BackendPool(
        PoolName("p"),
        protocol=Protocol.POSTGRES,
        endpoints=tuple(Endpoint(str(address)) for address in (A, B, C)),
        health_check=HealthCheck(timeout=3600.0),  # of what the test has said; nobody looks again
        outliers=OutlierDetection(consecutive_errors=1),
    )
    upstream = Upstream(pool, DatabasePool(monitor="m"))
    options = DatabaseRoute(target=ReadTarget.REPLICA)
    route = RoutePlan(Route(RouteId("r"), protocol=Protocol.POSTGRES), options, ((upstream, 100),))
    return route, DblbPlan({Protocol.POSTGRES: (route,)}, {upstream.name: upstream})


@pytest.fixture
async def world(monkeypatch) -> AsyncIterator[World]:
    ended = asyncio.Event()

    async def never(*_args: object) -> None:
        await ended.wait()
        raise OSError

    async with asyncio.TaskGroup() as group:
        monkeypatch.setattr(module, "open_inquiry", never)
        world = World(group)
        monkeypatch.setattr(dialling, "dial", world.dial)
        yield world
        ended.set()
        world.desk.close()
        world.pools.close()


def refused(code: str) -> LoginRefused:
    return LoginRefused(code, ErrorFields("FATAL", code, ""))


@pytest.mark.parametrize(
    ("failure", "left_out"),
    [
        (ConnectionRefusedError("refused"), True),
        (TimeoutError(), True),
        (PeerGone("it hung up"), True),
        (ProtocolFault("garbage"), True),
        (refused("57P03"), True),  # it begins, or ends
        (refused("58030"), True),  # its disk is broken
        (refused("28P01"), False),  # another password
        (refused("28000"), False),  # pg_hba.conf, or a role that may not log in
        (refused("3D000"), False),  # no such database
        (refused("42501"), False),  # no right to connect to it
        (refused("53300"), False),  # perhaps too many for this role only
        (LoginRefused("SCRAM: the server does not know the user's password"), False),
    ],
)
async def test_who_is_refused_leaves_no_server_out_for_others(world, failure, left_out):
    world.failure = failure
    assert "no session could be opened on 10.0.0.1:" in await world.read()
    assert len(world.cluster.fit) == (1 if left_out else 2)
