"""Host: the data planes of this host, which `planes` makes one of. What starts, watches and ends them together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from marchproxy.kit.clock import Clock
from marchproxy.kit.settings.types import HostPort
from marchproxy.kit.tasks import beside, every
from marchproxy.model.listener import Listener
from marchproxy.nlb.dataplane.detect import DetectDataPlane
from marchproxy.nlb.dataplane.envoy import EnvoyDataPlane
from marchproxy.nlb.dataplane.kernel import KernelDataPlane
from marchproxy.nlb.dataplane.planes import Planes, check_unused
from marchproxy.nlb.settings import NlbSettings


class HostPlanes(Planes):
    """The kernel of this host, an Envoy and a relay of our own. `probe` before anything else; forward inside `running`."""

    def __init__(self, settings: NlbSettings, *, clock: Clock) -> None:
        self.envoy = EnvoyDataPlane(settings, clock=clock)
        self.kernel = KernelDataPlane(settings, clock=clock)
        self.detect = DetectDataPlane(settings, clock=clock)
        own = self._check_port_beside_own
        super().__init__(self.envoy, self.kernel, self.detect, check_port=own, clock=clock)

    async def probe(self) -> None:
        """Find out whether the kernel can be used. It is told once, in the log."""
        await self.kernel.probe()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HostPlanes"]:
        """Run Envoy and the relay, and have the kernel. Raises as `EnvoyDataPlane.running`."""
        retiring = every(1.0, self.retire, clock=self._clock, name="lingering sockets")
        async with (
            self.kernel.running(),
            self.envoy.running(),
            self.detect.running(),
            beside(retiring, name="lingering sockets"),
        ):
            yield self

    async def drain(self, deadline_seconds: float) -> int:
        """Take no new connections, wait for open ones, remove the kernel's rules; return how many are left open."""
        async with asyncio.TaskGroup() as group:
            by_envoy = group.create_task(self.envoy.drain(deadline_seconds))
            by_kernel = group.create_task(self.kernel.drain(deadline_seconds))
            by_detect = group.create_task(self.detect.drain(deadline_seconds))
        return by_envoy.result() + by_kernel.result() + by_detect.result()

    def _check_port_beside_own(self, listener: Listener) -> None:
        own = self.envoy.addresses() | self.detect.addresses()
        if HostPort(listener.host, listener.port) not in own:
            check_unused(listener)
