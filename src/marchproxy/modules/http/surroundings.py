"""Surroundings: what Envoy needs beside the document, which lies in files and in DNS."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from marchproxy.engines.envoy.validation import Fault
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.kit.clock import Clock
from marchproxy.kit.tasks import beside, every
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.modules.http.certificates import Certificates
from marchproxy.modules.http.discovery import Follower
from marchproxy.modules.http.extension import NO_FILES, FileSecrets
from marchproxy.modules.http.pool_files import PoolFiles
from marchproxy.modules.http.resources.fleet import bounded
from marchproxy.modules.http.resources.pools import PoolFindings

_LOOK_SECONDS = 1.0


class Surroundings:
    """The files of TLS, of listeners and of pools, the endpoints that are found, and the size of the fleet."""

    def __init__(
        self,
        follower: Follower,
        certificates: Certificates,
        *,
        clock: Clock,
        secrets: FileSecrets = NO_FILES,
    ) -> None:
        """`secrets`: those of a module's own."""
        self._follower = follower
        self._certificates = certificates
        self._clock = clock
        self._files = PoolFiles()
        self._secrets = secrets
        self._instances = 1

    @property
    def changed(self) -> asyncio.Event:
        """Set when other endpoints were found, files hold something else, or the fleet has another size."""
        return self._follower.changed

    @property
    def instances(self) -> int:
        """How many ALBs divide the limits among themselves, this one included."""
        return self._instances

    def divide(self, instances: int) -> None:
        """From now on as many ALBs divide the limits, this one included."""
        divided = bounded(instances)
        if divided != self._instances:
            self._instances = divided
            self.changed.set()

    def problems(self, pools: Sequence[BackendPool]) -> Iterator[Problem]:
        """What keeps pools from running at all."""
        yield from self._files.problems(pools)
        yield from self._secrets.problems(pools)

    async def find(self, pools: Sequence[BackendPool]) -> PoolFindings:
        """What these pools need, as it is now or was when it was last good. Raises UnusableFile."""
        pools = _served(pools)
        await self._follower.look(pools)
        self._certificates.look(at_once=True)
        return PoolFindings(
            self._files.material(pools),
            self._follower.endpoints(pools),
            (*self._certificates.resources(), *self._secrets.resources(pools)),
            self._instances,
        )

    def take_back(self, faults: Iterable[Fault]) -> bool:
        """Go back to earlier secrets of the listeners in place of those that Envoy refuses; False: none of them is at fault."""
        taken = [
            self._certificates.take_back(fault.name, fault.message)
            for fault in faults
            if fault.type is ResourceType.SECRET
        ]
        return any(taken)

    def keep(self, pools: Sequence[BackendPool]) -> None:
        """These pools run now; forget all others."""
        self._files.keep(_served(pools))
        self._secrets.keep(_served(pools))
        self._follower.keep(_served(pools))

    def troubles(self, pools: Sequence[BackendPool]) -> Mapping[PoolName, str]:
        """What is wrong around each pool that runs all the same."""
        words: dict[PoolName, list[str]] = {}
        pools = _served(pools)
        parts = (self._files, self._secrets, self._follower)
        found = [part.troubles(pools) for part in parts]
        for name, trouble in chain.from_iterable(troubles.items() for troubles in found):
            words.setdefault(name, []).append(trouble)
        return {name: "; ".join(troubles) for name, troubles in words.items()}

    async def follow(self) -> None:
        """Look for endpoints and at files again and again, until cancelled."""
        looking = every(_LOOK_SECONDS, self._look, clock=self._clock, name="certificate files")
        async with beside(looking, name="certificate files"):
            await self._follower.run()

    async def _look(self) -> None:
        if any([self._certificates.look(), self._files.changed(), self._secrets.changed()]):
            self.changed.set()


def _served(pools: Sequence[BackendPool]) -> Sequence[BackendPool]:
    return [pool for pool in pools if not pool.beyond_http]
