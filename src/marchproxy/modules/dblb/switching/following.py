"""Following: how the servers of one protocol are asked whether one pool has what another one wrote."""

from collections.abc import Callable, Mapping
from typing import Protocol

from marchproxy.model.module import Protocol as Database
from marchproxy.modules.dblb.plan import Upstream


class NotKnown(Exception):
    """A server cannot be asked, or answers what cannot be used; says which and why."""


class Following(Protocol):
    """Two pools, of which the new one replicates the old one. Every question may take as long as its caller lets it."""

    async def check(self) -> None:
        """Whether the new pool follows the old one at all. Raises NotKnown where it does not."""
        ...

    async def mark(self) -> str:
        """How far the old pool's primary has written. Raises NotKnown."""
        ...

    async def behind(self, mark: str) -> str:
        """What the new pool's primary lacks of that, in words; empty: nothing. Raises NotKnown."""
        ...

    def close(self) -> None:
        """End the connections."""
        ...


#: Makes one for the pools of a route, the old and the new.
Follower = Callable[[Upstream, Upstream], Following]
Followers = Mapping[Database, Follower]
