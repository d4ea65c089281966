"""House: all that a decider has: what it goes by, what is under way, and who reports how that ended."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from random import Random
from typing import Any

from marchproxy.contract.document import decode
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import SettingsError
from marchproxy.model.ai import VirtualKey
from marchproxy.model.module import PoolName
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.asking import Verdict
from marchproxy.modules.ailb.choice import Chooser, Chosen
from marchproxy.modules.ailb.choice import Outcome as Ended
from marchproxy.modules.ailb.decision.admission import Admission
from marchproxy.modules.ailb.decision.decider import Decider
from marchproxy.modules.ailb.decision.under_way import Now, Passed, UnderWay
from marchproxy.modules.ailb.guards.moderators import Moderators
from marchproxy.modules.ailb.keys import KeyRing, read_keys
from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.journal import Journal
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.load import Engine, Watches
from marchproxy.modules.ailb.plan import AiPlan, compile_plan
from marchproxy.modules.ailb.queueing import Queueing
from marchproxy.modules.ailb.settling.entries import Told
from marchproxy.modules.ailb.settling.receipts import Receipts, Relay
from marchproxy.modules.ailb.settling.report import Ending, Report
from marchproxy.modules.ailb.settling.settler import Outcome, Settler
from marchproxy.modules.ailb.talk import Apply, Move, Places
from marchproxy.wire.http1 import Request, answer

_log = get_logger(__name__)
_NOT_FOUND = answer(404)
_DONE = answer(200)
#: Seconds between two lines of the log about one pool.
_QUIET_SECONDS = 60.0
#: Between the numbers of two deciders: more than may be under way, of which the journal does not know.
_APART = 1_000_000
#: Of the bodies of requests that wait for an endpoint.
_MOST_WAITING_BYTES = 256 * 1024 * 1024


class CannotServe(Exception):
    """What was told cannot be carried out, and nothing has changed; says why."""


def read_time() -> Now:
    """The time now."""
    return Now(time.time_ns(), time.monotonic())


class House:
    """`now` is asked for the time."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        totals: Totals,
        journal: Journal,
        clock: Clock,
        *,
        settled: Iterable[int] = (),
        now: Callable[[], Now] = read_time,
    ) -> None:
        self.told: Apply | None = None
        self.garbled = 0
        self.under_way = UnderWay()
        self.journal = journal
        self._now = now
        settled = frozenset(settled)
        # behind all of the decider before it, though the clock was set back since
        self.first = first = max(now().wall, max(settled, default=0) + _APART)
        """The number of its first reservation."""
        self.receipts = Receipts()
        journal.written = self.receipts.give
        self.ledger = Ledger(first, totals)
        self.chooser = Chooser(Random())  # noqa: S311 - spreads load, guards nothing
        self.queueing = Queueing(_MOST_WAITING_BYTES, self._give_back, clock)
        admission = Admission(self.ledger, self.chooser, self.queueing, self.under_way, clock)
        self.moderators = Moderators()
        self.decider = Decider(admission, self.ledger, self.under_way, self.moderators.ask)
        self._quiet: dict[str, float] = {}
        self._watches = Watches(group, self.queueing.has_room, clock)
        self._plan = AiPlan()
        self.settler = Settler(
            self.under_way, self.ledger, self.decider.tallies, self, first=first, settled=settled
        )

    def apply(self, told: Apply) -> None:
        """Decide by this. Raises CannotServe."""
        try:
            state = decode(told.document.encode())
        except ValueError as error:  # InvalidValue, and what pydantic says
            raise CannotServe(f"the document: {error}") from error
        plan = compile_plan(state)
        keys = KeyRing((*plan.keys, *_keys_of(told)))
        now = self._now()
        self._plan = plan
        self._quiet = {name: until for name, until in self._quiet.items() if PoolName(name) in plan.pools}
        self.decider.follow(plan, keys, now)
        self.ledger.divide(told.instances, now.wall)
        self._place(told.places)
        self.told = told

    def move(self, moved: Move) -> None:
        """Endpoints are there now."""
        if self.told is not None:
            self.told = replace(self.told, places=moved.places)
        self._place(moved.places)
        steady = self._now().steady
        for name in self._plan.pools:
            self.chooser.keep_out(name, moved.out.get(name, ()), steady)

    def _place(self, places: Places) -> None:
        listed = {name: pool.pool.endpoints for name, pool in self._plan.pools.items()}
        self.chooser.configure(self._plan.pools, {**listed, **places}, self._now().steady)
        self._watches.follow(
            {
                engine: member
                for name, pool in self._plan.pools.items()
                for member in self.chooser.members(name) or ()
                if member.host and (engine := Engine.of(pool.pool, member.host))
            }
        )

    def decide(self, request: Request) -> bytes | Coroutine[Any, Any, bytes]:
        """What Envoy is told of a request."""
        verdict = self.decider.decide(request, self._now())
        return _encoded(verdict) if isinstance(verdict, Coroutine) else verdict.encode()

    def own(self, request: Request) -> bytes:
        """What we answer ourselves, and what relays want of a request."""
        folder, _, name = request.target.partition("?")[0].rpartition("/")
        match request.method, folder:
            case "GET" | "POST", asking.OWN_KEPT:
                return self._kept(name)
            case "GET", asking.OWN_BODY:
                passed = self.under_way.named(name)
                return _NOT_FOUND if passed is None or passed.body is None else answer(200, (), passed.body)
            case "PUT", asking.OWN_ANSWER:
                content_type = request.field(b"content-type")
                kept = self.decider.gate.keep(name, content_type, request.body, self._now().wall)
                return _DONE if kept else _NOT_FOUND
        return _NOT_FOUND

    def _kept(self, name: str) -> bytes:
        found = self.decider.own.get(name)
        if found is None:
            return _NOT_FOUND
        fields = [(b"content-type", found.content_type.encode())]
        fields += [(name.encode(), value.encode()) for name, value in found.fields]
        return answer(200, fields, found.body)

    def relay_says(self, report: Report, relay: Relay) -> bool:
        """A relay reports; whether that was of any use. If so it is told when that is written down."""
        is_news = self.settler.relay_says(report, self._now())
        if is_news:
            self.receipts.owe(report.number, relay)
        return is_news

    def envoy_says(self, told: Told) -> None:
        """An Envoy reports."""
        self.settler.envoy_says(told, self._now())

    def nobody_waits(self, request_id: str) -> None:
        """An Envoy reports that a request has ended before it was answered."""
        self.settler.nobody_waits(request_id, self._now())

    def note_garbled(self) -> None:
        """Somebody reported something that is no report."""
        self.garbled += 1

    def sweep(self) -> None:
        """Once a second."""
        now = self._now()
        self.settler.sweep(now)
        self.ledger.sweep(now.wall)
        self.chooser.sweep(now.steady)
        self.queueing.sweep()
        self.decider.own.sweep(now.wall)

    def close(self) -> None:
        """Settle what has ended, and ask nobody any more."""
        self._watches.close()
        self.settler.close(self._now())

    def noted(self, passed: Passed, report: Report, now: Now) -> None:
        """As Followers'."""
        if not passed.chosen.is_open:
            return
        if report.ending is Ending.OWN:
            status: int | None = 200
        elif report.ending is Ending.CLIENT_GONE and report.first_token is None:
            status = None
        elif report.ending in {Ending.BROKEN, Ending.UNREACHED}:
            status = 0
        else:
            status = report.status or None
        self.chooser.ended(passed.chosen, Ended(status, report.attempts, report.first_token), now.steady)
        self._made_room(passed.chosen)

    def _give_back(self, chosen: Chosen) -> None:
        """For a request that waited, and whose client has gone."""
        self.chooser.ended(chosen, Ended(None), self._now().steady)
        self._made_room(chosen)

    def _made_room(self, chosen: Chosen) -> None:
        self.queueing.has_room(chosen.attempts[0].target.pool.name)

    def revived(self, told: Told, now: Now) -> Passed | None:
        """As Followers'."""
        return self.decider.revive(told.report.number, told.fields, now)

    def refused(self, report: Report, now: Now) -> None:
        """As Followers'."""
        if now.steady >= self._quiet.get(report.pool, 0.0):
            self._quiet[report.pool] = now.steady + _QUIET_SECONDS
            _log.error(
                "a provider refuses the credential of a pool: see its ai.credential",
                pool=report.pool,
                status=report.status,
                endpoint=report.host,
            )

    def written(self, outcome: Outcome, now: Now) -> None:  # noqa: ARG002 - the ledger has said when
        """As Followers'."""
        self.journal.put(
            Entry.of(
                outcome.settled,
                request_id=outcome.passed.request_id,
                pool=outcome.report.pool,
                ended=outcome.report.ending.value,
            )
        )


def _keys_of(told: Apply) -> tuple[VirtualKey, ...]:
    try:
        return read_keys(told.keys, told.keys_file) if told.keys_file else ()
    except SettingsError as error:
        raise CannotServe(str(error)) from error


async def _encoded(coming: Coroutine[Any, Any, Verdict]) -> bytes:
    return (await coming).encode()
