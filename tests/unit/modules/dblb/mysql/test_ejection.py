"""Which replicas are left out after reads failed with them, and for how long."""

import asyncio

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.database import DatabasePool
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint, OutlierDetection
from marchproxy.modules.dblb.gate import OpenGate
from marchproxy.modules.dblb.mysql.cluster import Cluster
from marchproxy.modules.dblb.mysql.sight import Role, Sight
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tallies


class World:
    """A primary and replicas, all of them well."""

    def __init__(
        self, group: asyncio.TaskGroup, outliers: OutlierDetection | None, replicas: int = 3
    ) -> None:
        self.clock = VirtualClock()
        around = Surroundings(group, self.clock, Tallies(), OpenGate())
        pool = BackendPool(
            PoolName("p"),
            protocol=Protocol.MYSQL,
            endpoints=tuple(Endpoint(f"127.0.0.1:{port}") for port in range(1, replicas + 2)),
            outliers=outliers,
        )
        self.cluster = Cluster(Upstream(pool, DatabasePool()), around, lambda _: None)
        _, *self.replicas = self.cluster.members.values()
        for member in self.replicas:
            member.watch.sight = Sight(Role.REPLICA, lag=0.0)

    def fail(self, index: int, times: int) -> None:
        for _ in range(times):
            self.cluster.failed(self.replicas[index])

    def read(self) -> list[int]:
        """The replicas that are read."""
        return [index for index, member in enumerate(self.replicas) if member.is_recent(10.0)]


@pytest.mark.parametrize(
    ("outliers", "failures", "read"),
    [
        (None, [9, 0, 0], [0, 1, 2]),
        (OutlierDetection(consecutive_errors=3), [2, 0, 0], [0, 1, 2]),
        (OutlierDetection(consecutive_errors=3), [3, 0, 0], [1, 2]),
        (OutlierDetection(consecutive_errors=3), [3, 3, 0], [2]),
        (OutlierDetection(consecutive_errors=3, max_ejected_percent=25), [3, 3, 0], [1, 2]),
        (OutlierDetection(consecutive_errors=3, max_ejected_percent=1), [3, 3, 0], [1, 2]),
        (OutlierDetection(consecutive_errors=3, max_ejected_percent=100), [3, 3, 3], [2]),
    ],
)
async def test_who_is_left_out(outliers, failures, read):
    async with asyncio.TaskGroup() as group:
        world = World(group, outliers)
        for index, times in enumerate(failures):
            world.fail(index, times)
        assert world.read() == read


async def test_each_time_is_longer_until_it_answers():
    async with asyncio.TaskGroup() as group:
        world = World(group, OutlierDetection(consecutive_errors=2, ejection_time=10.0), replicas=2)
        for seconds in (10.0, 20.0):
            world.fail(0, 2)
            world.clock.advance(seconds - 1)
            assert world.read() == [1]
            world.clock.advance(1)
            assert world.read() == [0, 1]
        world.fail(0, 1)
        world.replicas[0].answered()
        world.fail(0, 1)
        assert world.read() == [0, 1]
        world.fail(0, 1)
        world.clock.advance(10)
        assert world.read() == [0, 1]


async def test_who_may_not_be_left_out_is_as_soon_as_there_is_room():
    async with asyncio.TaskGroup() as group:
        world = World(group, OutlierDetection(consecutive_errors=2, max_ejected_percent=25))
        world.fail(0, 2)
        world.fail(1, 5)
        assert world.read() == [1, 2]
        world.clock.advance(30)
        world.fail(1, 1)
        assert world.read() == [0, 2]
