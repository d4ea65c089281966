"""Observer: looks at NLBs and modules on a beat and keeps what it saw. Everybody else reads, and never asks them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc import ChannelTls
from marchproxy.manager.watching.health import Health
from marchproxy.manager.watching.series import History, Slice
from marchproxy.manager.watching.subscription import Subscription
from marchproxy.manager.watching.view import LiveView

if TYPE_CHECKING:
    from marchproxy.manager.revising import Revisions
    from marchproxy.store import Store


class Observer:
    """The eyes of the manager. Without NLBs it sees nothing, which is no fault."""

    def __init__(
        self,
        nlbs: Sequence[str],
        store: "Store",
        revisions: "Revisions",
        *,
        clock: Clock,
        tls: ChannelTls | None = None,
    ) -> None:
        """`nlbs`: their addresses, "host:port"."""
        self._nlbs = tuple(nlbs)
        self._store, self._revisions = store, revisions
        self._clock, self._tls = clock, tls
        self._view = LiveView()
        self._history = History()
        self._looked = asyncio.Condition()
        self._readers: set[Subscription] = set()

    async def run(self) -> None:
        """Look, until cancelled."""
        raise NotImplementedError

    @property
    def view(self) -> LiveView:
        """What was seen last, with its age now."""
        view = self._view
        if view.at is None:
            return view
        return replace(view, age=max(0.0, (self._clock.now() - view.at).total_seconds()))

    async def wait(self, after: int) -> int:
        """Wait for a view whose version is above `after`; returns its version."""
        async with self._looked:
            await self._looked.wait_for(lambda: self._view.version > after)
            return self._view.version

    def names(self) -> tuple[str, ...]:
        """The figures whose past is kept: "total/requests", "listeners/web/connections", "routes/shop/p99_ms"."""
        return self._history.names()

    def series(self, names: Sequence[str], start: float, end: float, step: float) -> Slice:
        """The past of figures from `start` to `end` (Unix seconds), a mean for each `step` seconds."""
        return self._history.between(names, start, end, step)

    @contextmanager
    def subscribe(self, most: int = 256) -> Iterator[Subscription]:
        """Events as they happen, for the length of the block; a reader who is `most` behind is dropped."""
        reader = Subscription(most)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    async def health(self) -> Health:
        """How the manager's database, the NLBs and their modules are, asked now; takes 5 s at most."""
        raise NotImplementedError
