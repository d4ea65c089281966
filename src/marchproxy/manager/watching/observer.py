"""Observer: looks at NLBs and modules on a beat and keeps what it saw. Everybody else reads, and never asks them."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from marchproxy.contract.fleet.client import Client
from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc import ChannelTls
from marchproxy.kit.tasks import every
from marchproxy.manager.watching.assembling import Seen, assemble
from marchproxy.manager.watching.crowd import Crowd
from marchproxy.manager.watching.figures import SILENT, figures
from marchproxy.manager.watching.health import Health
from marchproxy.manager.watching.journal import Journal
from marchproxy.manager.watching.news import news
from marchproxy.manager.watching.pace import Pace
from marchproxy.manager.watching.pools import Pools
from marchproxy.manager.watching.probing import probe
from marchproxy.manager.watching.series import History, Slice
from marchproxy.manager.watching.subscription import Subscription
from marchproxy.manager.watching.view import LiveView
from marchproxy.model.record import Event
from marchproxy.model.revision import RevisionHead

if TYPE_CHECKING:
    from marchproxy.store import Store

BEAT_SECONDS = 2.0
"""Between two looks at a small fleet."""

#: What a rollout is on ("route", "listener"), its target and its version.
Started = tuple[str, str, str]


class _Current(Protocol):
    @property
    def head(self) -> RevisionHead: ...


class InForce(Protocol):
    """Who knows what everybody should run: the Revisions."""

    @property
    def current(self) -> _Current:
        """What is in force."""

    @property
    def leads(self) -> bool:
        """Whether this manager, of all that share the store, writes down what it sees."""


class Observer:
    """The eyes of the manager. Without NLBs it sees nothing, which is no fault."""

    def __init__(
        self,
        nlbs: Sequence[str],
        store: "Store",
        revisions: "InForce",
        *,
        clock: Clock,
        tls: ChannelTls | None = None,
        beat: float = BEAT_SECONDS,
    ) -> None:
        """`nlbs`: their addresses, "host:port"; `beat` in seconds. Raises SettingsError for TLS files that do not serve."""
        self.beat = beat
        self._store, self._clock = store, clock
        self._revisions = revisions
        self._crowd = Crowd(nlbs, clock=clock, tls=tls, beat=beat)
        self._journal = Journal(store, clock)
        self._pools, self._pace, self._due = Pools(), Pace(beat, 0.01), 0.0
        self._view = LiveView()
        self._history = History()
        self._looked = asyncio.Condition()
        self.starters: Mapping[Started, str] = {}
        """Who started which rollout through a manager."""

    async def run(self) -> None:
        """Look, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._crowd.run(), name="crowd")
            group.create_task(self._journal.run(), name="journal")
            await every(self.beat, self._look, clock=self._clock, name="view")

    @property
    def clients(self) -> Sequence[Client]:
        """One for each NLB, for who has to ask or tell something; they are closed when `run` ends."""
        return self._crowd.clients

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
        """The figures whose past is kept; see `figures`."""
        return self._history.names()

    def series(self, names: Sequence[str], start: float, end: float, step: float) -> Slice:
        """The past of figures from `start` to `end` (Unix seconds), a mean for each `step` seconds."""
        return self._history.between(names, start, end, step)

    def note(self, events: Iterable[Event]) -> None:
        """Have events written down by and by; whoever reads along gets them then."""
        self._journal.note(events)

    def subscribe(self, most: int = 256) -> AbstractContextManager[Subscription]:
        """Events as they are written, by any manager; a reader who is `most` behind is dropped."""
        return self._journal.subscribe(most)

    async def health(self) -> Health:
        """How the manager's database, the NLBs and their modules are, asked now; takes 5 s at most."""
        return await probe(self._store, self._crowd.clients, self._clock)

    async def _look(self) -> None:
        before, now = self._view, self._clock.now()
        view = self._assemble(before)
        self._history.record(now.timestamp(), figures(view), silent=SILENT)
        if self._revisions.leads:
            self._journal.note(news(before, view, now))
        async with self._looked:
            self._view = view
            self._looked.notify_all()

    def _assemble(self, before: LiveView) -> LiveView:
        anew = self._clock.monotonic() >= self._due
        seen = Seen(
            self._crowd.nlbs(),
            self._crowd.parts(),
            self._clock.now(),
            head=self._revisions.current.head,
            starters=self.starters,
            anew=anew,
        )
        began = time.thread_time()
        view = assemble(before, seen, self._pools)
        if anew:
            self._pace.took(time.thread_time() - began)
            self._due = self._clock.monotonic() + self._pace.pause()
        return view
