"""Tending: what has to be done again and again beside proposals, so that store, manager and parts agree."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.manager.revising.applier import Applier
from marchproxy.manager.revising.book import Book, restated_between
from marchproxy.manager.revising.fleet import Fleet
from marchproxy.manager.revising.outcome import Busy, PartPhase, Phase
from marchproxy.manager.revising.reconciler import Reconciler, runs
from marchproxy.store import Store, StoreUnavailable

_log = get_logger(__name__)
_BEAT_SECONDS = 2.0
_WATCH_SECONDS = 0.5
_WATCH_AT_MOST = 30.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What revisions are made with."""

    store: Store
    fleet: Fleet
    book: Book
    applier: Applier
    clock: Clock


class Tending:
    """Call `tend` whenever `due`. `leads`: this manager, of all that share the store, brings parts up to date."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._reconciler = Reconciler(tools.fleet, clock=tools.clock)
        self._next = 0.0
        self._watched_since: float | None = None
        self._said = ""
        self.leads = False
        self.newer_file: Callable[[], Awaitable[None]] | None = None
        """Takes a file that has changed; None: it has not. To be done before any part is told of an older revision."""

    @property
    def wait(self) -> float:
        """Seconds until it is due."""
        return max(self._next - self._tools.clock.monotonic(), 0.0)

    def hurry(self) -> None:
        """Make it due now."""
        self._next = 0.0

    async def settle(self) -> None:
        """Have nothing in doubt. Raises Busy, StoreUnavailable."""
        if self._tools.applier.in_doubt:
            await self._tools.applier.settle(restated_between)

    async def tend(self) -> None:
        """One round. What it cannot do now is said once, and tried again in the next."""
        try:
            await self._round()
        except (StoreUnavailable, Busy) as error:
            self._say(str(error))
        except Exception:  # noqa: BLE001 - the loop must outlive whatever one round meets; it is logged in full
            _log.exception("revisions could not be tended")
        else:
            self._say("")
        watching = bool(self._tools.applier.progress.awaited)
        beat = _WATCH_SECONDS if watching else _BEAT_SECONDS
        self._next = self._tools.clock.monotonic() + beat

    async def _round(self) -> None:
        tools = self._tools
        if tools.applier.in_doubt:
            async with tools.store.exclusive():
                await self.settle()
        await tools.book.catch_up()
        if self.newer_file is not None:
            await self.newer_file()
            return
        await self._look()

    async def _look(self) -> None:
        tools, current = self._tools, self._tools.book.current
        sight = await tools.fleet.look()
        progress = tools.applier.progress
        if progress.awaited:
            reported = [taker.name for taker in sight.takers if runs(taker, current)]
            progress.mark([name for name in reported if name in progress.awaited], PartPhase.REPORTS)
        self._end_watch()
        if not self.leads:
            return
        behind = [
            taker for taker in self._reconciler.behind(sight, current) if taker.name not in progress.awaited
        ]
        if behind:
            async with tools.store.exclusive():
                if not await tools.book.catch_up():
                    for taker in behind:
                        await self._reconciler.bring(taker, current, tools.book.restated_since)

    def _end_watch(self) -> None:
        """All have reported, or have had the time for it."""
        progress, now = self._tools.applier.progress, self._tools.clock.monotonic()
        if progress.newest is None or progress.newest.phase is not Phase.WATCHING:
            self._watched_since = None
            return
        self._watched_since = now if self._watched_since is None else self._watched_since
        if not progress.awaited or now - self._watched_since > _WATCH_AT_MOST:
            progress.enter(Phase.DONE)
            self._watched_since = None

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._said:
            _log.warning("revisions: not everything can be done now", reason=trouble)
        self._said = trouble
