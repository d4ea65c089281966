"""The crowd: everybody who is watched, each by a task of its own, so that one who hangs delays nobody else."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from marchproxy.contract.fleet.client import Client
from marchproxy.kit.breaker import BreakerLimits
from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc import ChannelTls
from marchproxy.kit.grpc.channels import ChannelOptions, ChannelPool
from marchproxy.kit.tasks import Isolating, every
from marchproxy.manager.watching.findings import NlbFinding, PartFinding
from marchproxy.manager.watching.nlb_watch import NlbWatch
from marchproxy.manager.watching.part_watch import PartWatch, paces

_MOST_CHANNELS = 1100  # an NLB has 1,000 instances at most


class Crowd:
    """The NLBs of the settings and the instances that they know of."""

    def __init__(self, nlbs: Sequence[str], *, clock: Clock, tls: ChannelTls | None, beat: float) -> None:
        """Raises SettingsError for TLS files that do not serve."""
        self._clock, self._beat = clock, beat
        self._pool = ChannelPool(
            clock=clock,
            tls=tls,
            options=ChannelOptions(max_channels=_MOST_CHANNELS),
            breaker_limits=BreakerLimits(open_seconds=beat),  # who is back is seen soon
        )
        self.clients = tuple(Client(address, self._pool) for address in nlbs)
        """One for each NLB."""
        self._nlbs = tuple(NlbWatch(client, clock) for client in self.clients)
        self._parts: dict[str, tuple[PartWatch, asyncio.Task[None]]] = {}
        self._paces = paces(beat)

    async def run(self) -> None:
        """Watch, until cancelled."""
        try:
            async with Isolating() as group:
                for nlb in self._nlbs:
                    name = f"look at {nlb.finding.address}"
                    group.create_task(every(self._beat, nlb.look, clock=self._clock, name=name))
                await every(self._beat / 4, lambda: self._follow(group), clock=self._clock, name="instances")
        finally:
            await self._pool.close()

    def nlbs(self) -> tuple[NlbFinding, ...]:
        """What they told last."""
        return tuple(nlb.finding for nlb in self._nlbs)

    def parts(self) -> Mapping[str, PartFinding]:
        """What the instances told last, by id."""
        return {name: watch.finding for name, (watch, _) in self._parts.items()}

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        """Watch who has come, or moved, and nobody who has gone; one whose watch failed is begun again."""
        addresses = _addresses(self.nlbs())
        for name, (watch, task) in tuple(self._parts.items()):
            if addresses.get(name) != watch.address or task.done():
                task.cancel()
                del self._parts[name]
                await self._pool.forget(watch.address)
        for name, address in addresses.items():
            if name not in self._parts:
                watch = PartWatch(self.clients[0], address, self._clock)
                work = watch.run(self._paces, self._count)
                self._parts[name] = (watch, group.create_task(work, name=f"watch of {name}"))

    def _count(self) -> int:
        return len(self._parts)


def _addresses(nlbs: Iterable[NlbFinding]) -> Mapping[str, str]:
    """Of everybody whom an NLB knows, as the first of them says."""
    found: dict[str, str] = {}
    for nlb in nlbs:
        for instance in nlb.status.modules if nlb.status is not None else ():
            found.setdefault(instance.instance_id, instance.address)
    return found
