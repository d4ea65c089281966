"""What is known of the central server, by what Envoy says."""

import asyncio

from marchproxy.engines.envoy.admin import AdminUnreachable
from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.alb.central.watch import CentralWatch

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
