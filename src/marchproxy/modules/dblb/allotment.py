"""Allotment: how many links the pools of one user and database may have together.

Clients that differ in how they show servers who they are have pools of their own, as have those of MySQL that differ in
what they can do, or in their character set.
"""

from typing import Protocol


class Sharer(Protocol):
    """A pool among those that share."""

    @property
    def taken(self) -> int:
        """The links that it has, or is opening."""
        ...

    def evict(self) -> bool:
        """Close a link that is idle, if there is one."""
        ...

    def grow(self) -> None:
        """Open what is waited for, as far as there is room."""
        ...


class Allotment:
    """Shared by the pools that have joined."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.shared = False
        """Whether another pool was there when the last one joined."""
        self._pools: list[Sharer] = []

    def join(self, pool: Sharer) -> None:
        """Count this pool's links as well."""
        self.shared = bool(self._pools)
        self._pools.append(pool)

    def leave(self, pool: Sharer) -> None:
        """Count its links no more; a second time is no news."""
        if pool in self._pools:
            self._pools.remove(pool)

    def has_room(self, pool: Sharer, *, evicting: bool) -> bool:
        """Whether a pool may open one more; where it is worth that, another's idle link is closed for it."""
        if sum(one.taken for one in self._pools) < self.size:
            return True
        others = (one for one in self._pools if one is not pool)
        return evicting and self.size > 0 and any(one.evict() for one in others)

    def freed(self, pool: Sharer) -> None:
        """A pool has a link less in use: others may have waited for that."""
        for one in self._pools:
            if one is not pool:
                one.grow()
