"""Fleet: the servers of all pools of one protocol in a worker."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Protocol, TypeVar

from marchproxy.model.module import PoolName
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import PoolGauge


class Servers(Protocol):
    """Those of one pool."""

    def gauges(self) -> Iterable[PoolGauge]:
        """The connections to them."""
        ...

    def reports(self) -> Iterable[ServerReport]:
        """They as they were last seen."""
        ...

    async def check(self) -> Iterable[ServerReport]:
        """They, asked now."""
        ...

    def sweep(self) -> None:
        """Close what was not used for long."""
        ...

    def close(self) -> None:
        """End everything."""
        ...


class Changeable(Protocol):
    """Servers of a pool that may become another pool's."""

    def become(self, upstream: Upstream) -> None:
        """What the pool is from now on."""
        ...

    def retire(self) -> None:
        """The pool is not in the plan any more."""
        ...


S = TypeVar("S", bound=Servers)
C = TypeVar("C", bound=Changeable)


class Fleet(dict[PoolName, S]):
    """Servers by their pool's name."""

    def gauges(self) -> list[PoolGauge]:
        """The connections to all of them."""
        return [gauge for servers in self.values() for gauge in servers.gauges()]

    def reports(self) -> list[ServerReport]:
        """All of them as they were last seen."""
        return [report for servers in self.values() for report in servers.reports()]

    async def check(self) -> list[ServerReport]:
        """All of them, asked now, at the same time."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(servers.check()) for servers in self.values()]
        return [report for task in tasks for report in task.result()]

    def sweep(self) -> None:
        """Close what was not used for long."""
        for servers in self.values():
            servers.sweep()

    def close(self) -> None:
        """End everything."""
        for servers in self.values():
            servers.close()


def follow(
    fleet: MutableMapping[PoolName, C],
    wanted: Mapping[PoolName, Upstream],
    make: Callable[[Upstream], C],
) -> None:
    """Have just the servers of these pools: those that are there become what is wanted, others come and go."""
    for name in [name for name in fleet if name not in wanted]:
        fleet.pop(name).retire()
    for name, upstream in wanted.items():
        if name in fleet:
            fleet[name].become(upstream)
        else:
            fleet[name] = make(upstream)
