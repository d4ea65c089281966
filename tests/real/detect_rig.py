"""A detect data plane in this process, its relay workers, and servers behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from marchproxy.kit.clock import SystemClock
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import Protocol, Version
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, VersionTargets
from marchproxy.nlb.dataplane.detect import DetectDataPlane
from marchproxy.nlb.dataplane.plane import ConnectionCounts, Forwarding, TrafficCounts
from marchproxy.nlb.settings import NlbSettings
from tests.ports import free_port
from tests.real.plane_rig import Server


def raw(name: str = "raw", **more) -> Listener:
    """A listener that relays whatever comes."""
    more = {"data_plane": DataPlaneKind.DETECT, "protocol": Protocol.TCP, **more}
    return Listener(name, "127.0.0.1", more.pop("port", None) or free_port(), **more)


class Plane:
    """A running detect data plane."""

    def __init__(self, detect: DetectDataPlane) -> None:
        self.detect = detect

    async def carry(
        self, *pairs: tuple[Listener, Server | tuple[Server, ...]], limits: tuple[RateLimit, ...] = ()
    ) -> None:
        """Forward each listener to its servers, all of one version."""
        plans = []
        for listener, servers in pairs:
            targets = tuple(s.target() for s in ((servers,) if isinstance(servers, Server) else servers))
            plans.append(ListenerPlan(listener, (VersionTargets(Version("v1"), 100, targets),)))
        await self.apply(*plans, limits=limits)

    async def apply(
        self,
        *plans: ListenerPlan,
        limits: tuple[RateLimit, ...] = (),
        parked: dict[str, tuple[Target, ...]] | None = None,
    ) -> None:
        await self.detect.apply(Forwarding(ForwardingPlan(plans), parked or {}, limits))

    async def counts(self) -> TrafficCounts:
        return await self.detect.counts(max_age=0)

    async def of(self, listener: str = "raw") -> ConnectionCounts:
        return (await self.counts()).listeners[listener]

    async def until(self, holds, seconds: float = 20.0) -> TrafficCounts:
        """Wait until the counts are as they should be."""
        async with asyncio.timeout(seconds):
            while not holds(seen := await self.counts()):
                await asyncio.sleep(0.02)
        return seen


@asynccontextmanager
async def detect_plane(directory: Path, *servers: Server, **settings: object) -> AsyncIterator[Plane]:
    """A detect plane without listeners, and the servers."""
    chosen = NlbSettings.model_validate({"state_dir": directory, "drain_seconds": 1, **settings})
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server.running())
        detect = DetectDataPlane(chosen, clock=SystemClock())
        yield Plane(await stack.enter_async_context(detect.running()))
