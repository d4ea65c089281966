"""What is known of the central server, by what Envoy says."""

import asyncio

import pytest

from marchproxy.engines.envoy.admin import AdminUnreachable
from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.kit.clock import VirtualClock
from marchproxy.model.module import HealthStatus
from marchproxy.modules.alb.central.watch import CentralWatch
from marchproxy.modules.base.engine import EngineHealth

VERSION = "http.alb.rds.routes.version_text"


class Admin:
    """Says what it is told to; None: nothing."""

    def __init__(self) -> None:
        self.says: EnvoyStats | None = EnvoyStats()
        self.asked = 0

    async def stats(self, pattern: str) -> EnvoyStats:
        self.asked += 1
        assert pattern.startswith("^(")
        if self.says is None:
            raise AdminUnreachable("nobody answers")
        return self.says


def told(version: str, *, connected: bool) -> EnvoyStats:
    asked_for, open_ = "control_plane.connected_state", "cluster.marchproxy_xds.upstream_rq_active"
    return EnvoyStats({asked_for: 1, open_: int(connected)}, {VERSION: version})


def watch_of(admin: Admin, clock: VirtualClock) -> CentralWatch:
    return CentralWatch(admin, "m:1", clock=clock)  # type: ignore[arg-type]


async def test_what_envoy_says_is_known_and_stays_so_while_it_says_nothing() -> None:
    admin = Admin()
    watch = watch_of(admin, VirtualClock())
    await watch.look()
    assert (watch.connected, watch.has_routes, watch.checksum) == (False, False, "")
    admin.says = told("0123.abc", connected=True)
    await watch.look()
    assert (watch.connected, watch.has_routes, watch.checksum) == (True, True, "abc")
    admin.says = None
    await watch.look()
    assert (watch.connected, watch.checksum) == (True, "abc")
    admin.says = told("0123.abc", connected=False)
    await watch.look()
    assert (watch.connected, watch.has_routes, watch.checksum) == (False, True, "abc")


async def test_it_looks_often_until_there_is_something() -> None:
    admin, clock = Admin(), VirtualClock()
    watch = watch_of(admin, clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watch.run())
        await clock.elapse(60)
        assert admin.asked > 200
        running.cancel()


@pytest.mark.parametrize(
    ("envoy", "says", "status", "words"),
    [
        (
            HealthStatus.HEALTHY,
            told("", connected=True),
            HealthStatus.STARTING,
            "waits for routes from the central",
        ),
        (HealthStatus.UNHEALTHY, told("", connected=True), HealthStatus.UNHEALTHY, "envoy's own"),
        (HealthStatus.HEALTHY, told("1.a", connected=True), HealthStatus.HEALTHY, "envoy's own"),
        (HealthStatus.HEALTHY, told("1.a", connected=False), HealthStatus.DEGRADED, "m:1 is away"),
        (
            HealthStatus.DEGRADED,
            told("1.a", connected=False),
            HealthStatus.DEGRADED,
            "envoy's own; the central",
        ),
        (HealthStatus.STOPPING, told("1.a", connected=False), HealthStatus.STOPPING, "envoy's own"),
    ],
)
async def test_health_is_that_of_an_envoy_which_is_served(
    envoy: HealthStatus, says: EnvoyStats, status: HealthStatus, words: str
) -> None:
    admin = Admin()
    admin.says = says
    watch = watch_of(admin, VirtualClock())
    await watch.look()
    found = watch.judge(EngineHealth(envoy, "envoy's own", {"envoy": "ok"}))
    assert found.status is status
    assert words in found.message
    assert set(found.checks) == {"envoy", "xds_server"}
