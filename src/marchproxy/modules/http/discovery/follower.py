"""Follower: looks for the endpoints of pools again and again, and tells when other ones were found."""

import asyncio
from collections.abc import Mapping, Sequence

from marchproxy.kit.clock import Clock
from marchproxy.kit.files import file_signature
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import every
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, Discovery
from marchproxy.modules.http.discovery.files import read_endpoints
from marchproxy.modules.http.discovery.found import Found, NothingFound
from marchproxy.modules.http.discovery.records import SrvResolver
from marchproxy.modules.http.resources.endpoints import Target

_log = get_logger(__name__)
_LOOK_SECONDS = 5.0
_FIRST_LOOK_SECONDS = 2.0


class Follower:
    """What was found for each source: a service or a file. Pools with the same source share it.

    `changed` is set whenever endpoints differ from those of the look before.
    """

    def __init__(self, resolver: SrvResolver, *, clock: Clock) -> None:
        self.changed = asyncio.Event()
        self._resolver = resolver
        self._clock = clock
        self._found: dict[Discovery, Found] = {}
        self._read: dict[str, tuple[tuple[int, int, int] | None, tuple[Target, ...]]] = {}
        self._wanted: frozenset[Discovery] = frozenset()
        self._regroup = asyncio.Event()

    async def look(self, pools: Sequence[BackendPool]) -> None:
        """Look at the sources that nobody looked at yet, for two seconds at most: a change must not wait for DNS."""
        async with asyncio.TaskGroup() as group:
            for source in _sources(pools) - self._found.keys():
                group.create_task(self._look(source, _FIRST_LOOK_SECONDS))

    def keep(self, pools: Sequence[BackendPool]) -> None:
        """Follow the sources of these pools from now on, and no other."""
        self._wanted = _sources(pools)
        self._found = {source: found for source, found in self._found.items() if source in self._wanted}
        files = {source.file for source in self._wanted}
        self._read = {path: read for path, read in self._read.items() if path in files}
        self._regroup.set()

    def endpoints(self, pools: Sequence[BackendPool]) -> Mapping[PoolName, tuple[Target, ...]]:
        """The endpoints that were found, by pool."""
        return {p.name: self._found[p.discovery].targets for p in pools if p.discovery in self._found}

    def troubles(self, pools: Sequence[BackendPool]) -> Mapping[PoolName, str]:
        """The pools whose last look brought less than it should, and why; endpoints found before stay."""
        found = ((pool.name, self._found.get(pool.discovery, Found())) for pool in pools)
        return {name: look.trouble for name, look in found if look.trouble}

    async def run(self) -> None:
        """Follow every source, each at its own interval, until cancelled."""
        tasks: dict[Discovery, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                for source in tasks.keys() - self._wanted:
                    tasks.pop(source).cancel()
                for source in self._wanted - tasks.keys():
                    tasks[source] = group.create_task(self._follow(source))
                await self._regroup.wait()
                self._regroup.clear()

    async def _follow(self, source: Discovery) -> None:
        async def look() -> None:
            await self._look(source, _LOOK_SECONDS)

        await every(source.interval, look, clock=self._clock, name=f"discovery {source.srv or source.file}")

    async def _look(self, source: Discovery, seconds: float) -> None:
        before = self._found.get(source, Found())
        try:
            async with asyncio.timeout(seconds):
                now = await (self._resolver.find(source.srv) if source.srv else self._file(source.file))
        except NothingFound as error:
            now = Found(before.targets, str(error))
        except TimeoutError:
            now = Found(before.targets, f"{source.srv or source.file}: no answer within {seconds:.0f} s")
        self._found[source] = now
        if now.trouble and now.trouble != before.trouble:
            _log.warning("endpoints cannot be found; those known stay", reason=now.trouble)
        if now.targets != before.targets:
            _log.info("endpoints found", source=source.srv or source.file, count=len(now.targets))
            self.changed.set()

    async def _file(self, path: str) -> Found:
        signature = await asyncio.to_thread(file_signature, path)
        known = self._read.get(path)
        if known is None or known[0] != signature or signature is None:
            # the signature from before the reading: a file that is written meanwhile is read again
            known = signature, await asyncio.to_thread(read_endpoints, path)
            self._read[path] = known
        return Found(known[1])


def _sources(pools: Sequence[BackendPool]) -> frozenset[Discovery]:
    return frozenset(pool.discovery for pool in pools if pool.discovery.srv or pool.discovery.file)
