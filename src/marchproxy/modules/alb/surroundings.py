"""Surroundings: what pools need beside the document, which lies in files and in DNS."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.modules.alb.discovery import Follower
from marchproxy.modules.alb.pool_files import PoolFiles
from marchproxy.modules.alb.resources.pools import PoolFindings


class Surroundings:
    """The files of TLS and the endpoints that are found, of all pools."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._files = PoolFiles()

    @property
    def changed(self) -> asyncio.Event:
        """Set when other endpoints were found."""
        return self._follower.changed

    def problems(self, pools: Sequence[BackendPool]) -> Iterator[Problem]:
        """What keeps pools from running at all."""
        return self._files.problems(pools)

    async def find(self, pools: Sequence[BackendPool]) -> PoolFindings:
        """What these pools need, as it is now or was when it was last good. Raises UnusableFile."""
        await self._follower.look(pools)
        return PoolFindings(self._files.material(pools), self._follower.endpoints(pools))

    def keep(self, pools: Sequence[BackendPool]) -> None:
        """These pools run now; forget all others."""
        self._files.keep(pools)
        self._follower.keep(pools)

    def troubles(self, pools: Sequence[BackendPool]) -> Mapping[PoolName, str]:
        """What is wrong around each pool that runs all the same."""
        words: dict[PoolName, list[str]] = {}
        found = (self._files.troubles(pools), self._follower.troubles(pools))
        for name, trouble in chain.from_iterable(troubles.items() for troubles in found):
            words.setdefault(name, []).append(trouble)
        return {name: "; ".join(troubles) for name, troubles in words.items()}

    async def follow(self) -> None:
        """Look for endpoints again and again, until cancelled."""
        await self._follower.run()
