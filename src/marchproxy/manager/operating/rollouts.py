"""Rollouts that are started through a manager: remembered in the store, followed, and made a revision when they end."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from marchproxy.contract.fleet.changing import Pace, promote, set_weight
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import every
from marchproxy.manager.operating.asking import Party, ask_all, ask_or_undo
from marchproxy.manager.operating.following import Fate, Followed, follow, id_of, target_of
from marchproxy.manager.operating.targets import Done, NotDone, Target
from marchproxy.manager.operating.weights import SECTIONS, listener_of, reweighed, route_of, share_of
from marchproxy.manager.revising import Busy
from marchproxy.manager.watching import Observer, PartView, RolloutView
from marchproxy.model.database import DATABASE_PROTOCOLS
from marchproxy.model.module import ModuleType, Version
from marchproxy.model.problem import InvalidValue, RefusalCode, Refused
from marchproxy.model.record import Event, Severity, StartedRollout
from marchproxy.model.revision import Author
from marchproxy.model.route import Route
from marchproxy.store import StoreUnavailable

if TYPE_CHECKING:
    from marchproxy.manager.revising import Revisions
    from marchproxy.store import Store

_log = get_logger(__name__)
_BEAT_SECONDS = 1.0
_AGAIN_SECONDS = 10.0  # until what could not be done is tried again


class Rollouts:
    """Starts and ends them, and sees to what is left to do when they end by themselves."""

    def __init__(self, live: Observer, revisions: "Revisions", store: "Store", *, clock: Clock) -> None:
        self._live, self._revisions, self._store, self._clock = live, revisions, store, clock
        self._not_before: dict[str, float] = {}
        self._said = False  # that the store is away

    async def run(self) -> None:
        """Follow them, until cancelled."""
        await every(_BEAT_SECONDS, self._follow, clock=self._clock, name="rollouts")

    def version_under_way(self, target: Target) -> str:
        """Which version is being rolled out there, as far as is known here; empty: none.

        One that was started here counts until its end is written down.
        """
        for on, name, version in self._live.starters:
            if (on, name) == (target.on, target.name):
                return version
        for one in self._live.view.rollouts:
            if one.on == target.on and one.target in {"", target.name} and one.phase == "ramping":
                return one.version
        return ""

    def refuse_while_under_way(self, target: Target) -> None:
        """Raises NotDone."""
        if going := self.version_under_way(target):
            raise NotDone(
                f"version {going} is being rolled out on {target}; roll it back, or promote it, first"
            )

    def party(self, part: PartView) -> Party:
        """How an instance is asked."""
        return Party(part.id, self._live.clients[0], part.address)

    async def start(self, target: Target, version: str, pace: Pace, *, by: Author) -> Done:
        """Begin everywhere or nowhere. Raises NotDone, also while one is under way, Refused, StoreUnavailable."""
        self.refuse_while_under_way(target)
        before = share_of(self._revisions.current.state, target, version)
        parties = self._parties(target)
        started = StartedRollout(id_of(target), target.name, version, by.name, self._clock.now())
        await self._store.put_started_rollout(started)
        self._live.starters = {**self._live.starters, (target.on, target.name, version): by.name}
        try:
            answers = await ask_or_undo(
                parties, promote(version, target.name, pace), set_weight(version, before, target.name)
            )
        except NotDone:
            await self.forget(target)
            raise
        words = next(iter(answers.values()))
        self._note("rollout.started", target, f"{version} by {by.name}: {words}")
        return Done(words, by=tuple(answers.items()))

    async def end(self, target: Target, *, by: Author, needed: bool) -> Done:
        """Give the shares back that are desired. Raises NotDone where none is under way and one is `needed`."""
        version = self.version_under_way(target)
        if not version:
            if needed:
                raise NotDone(f"no rollout is under way on {target}; name a version to go back to")
            return Done("no rollout was under way")
        share = share_of(self._revisions.current.state, target, version)
        done, refusing = await ask_all(self._parties(target), set_weight(version, share, target.name))
        bad = [one for one in refusing if not one.missing]
        if bad:
            words = "; ".join(f"{one.name}: {one.words}" for one in bad)
            raise Refused(RefusalCode.UNAVAILABLE, f"not everybody went back: {words}")
        await self.forget(target)
        words = f"{version} has {share} % of {target} again"
        self._note("rollout.ended", target, f"rolled back by {by.name}: {words}", "warning")
        return Done(words, by=tuple(done.items()))

    async def forget(self, target: Target) -> None:
        """No longer follow what was started on a target."""
        await self._store.remove_started_rollout(id_of(target))
        self._live.starters = {
            key: by for key, by in self._live.starters.items() if key[:2] != (target.on, target.name)
        }

    async def _follow(self) -> None:
        try:
            all_started = await self._store.started_rollouts()
        except StoreUnavailable as error:
            if not self._said:
                _log.warning("rollouts are followed later", reason=str(error))
            self._said = True
            return
        self._said = False
        self._live.starters = {
            (target_of(one).on, one.route, one.version): one.started_by for one in all_started
        }
        if not self._revisions.leads:
            return
        for started in all_started:
            if self._clock.monotonic() >= self._not_before.get(started.id, 0.0):
                await self._try_to_look_after(started)

    async def _try_to_look_after(self, started: StartedRollout) -> None:
        try:
            await self._look_after(started)
        except (StoreUnavailable, Busy, Refused, InvalidValue, NotDone) as error:
            if _is_gone(error):
                await self.forget(target_of(started))
                return
            self._not_before[started.id] = self._clock.monotonic() + _AGAIN_SECONDS
            _log.warning("what a rollout needs is done later", rollout=started.id, reason=str(error))
        else:
            self._not_before.pop(started.id, None)

    async def _look_after(self, started: StartedRollout) -> None:
        target = target_of(started)
        found = follow(
            started, self._live.view, self._clock.now(), grace=3 * timedelta(seconds=self._live.beat)
        )
        match found.fate:
            case Fate.GOES_ON:
                return
            case Fate.PROMOTED:
                await self._promoted(started, target, found)
            case Fate.ROLLED_BACK:
                await self._rolled_back(started, target, found)
            case Fate.ENDED:
                self._note("rollout.ended", target, f"{started.version}: nobody carries it out any more")
        await self.forget(target)

    async def _promoted(self, started: StartedRollout, target: Target, found: Followed) -> None:
        outcome = await self._revisions.note_rollout(
            target.name,
            Version(started.version),
            by=Author(started.started_by, "rollout"),
            reason=f"{started.version} promoted on {target}: {_numbers(found.seen)}",
            of_listeners=target.on == "listener",
        )
        _log.info("a rollout became a revision", target=str(target), revision=outcome.revision.number)

    async def _rolled_back(self, started: StartedRollout, target: Target, found: Followed) -> None:
        """Those who are not back yet are told; a share that the version was desired to have is given up, too."""
        laggards = [one for one in self._parties(target) if one.name in found.laggards]
        _, refusing = await ask_all(laggards, set_weight(started.version, 0, target.name))
        if refusing:
            raise Refused(RefusalCode.UNAVAILABLE, f"{refusing[0].name}: {refusing[0].words}")
        state = self._revisions.current.state
        if share_of(state, target, started.version):
            item = reweighed(state, self._live.view, target, started.version, 0)
            await self._revisions.put(
                SECTIONS[target.on],
                target.name,
                dict(item),
                by=Author(started.started_by, "rollout"),
                reason=f"{started.version} rolled back on {target}: {_numbers(found.seen)}",
            )

    def _parties(self, target: Target) -> Sequence[Party]:
        """Who carries out what is on a target. Raises NotDone when there is no such target, or nobody."""
        state = self._revisions.current.state
        if target.on == "listener":
            listener_of(state, target.name)
            found = [Party(client.nlb_address, client) for client in self._live.clients]
        else:
            kind = _kind(route_of(state, target.name))
            parts = (part for part in self._live.view.parts if part.kind is kind)
            found = [self.party(part) for part in parts if part.health is None or part.health.takes_traffic]
        if not found:
            raise NotDone(f"nobody that takes traffic serves {target} now")
        return found

    def _note(self, kind: str, target: Target, message: str, severity: Severity = "info") -> None:
        event = Event(self._clock.now(), kind, f"{target.on}/{target.name}", message, severity)
        self._live.note([event])


def _is_gone(error: Exception) -> bool:
    """Whether what a rollout was on has been removed meanwhile."""
    match error:
        case NotDone():
            return not error.found
        case Refused():
            return error.code is RefusalCode.NOT_FOUND
        case _:
            return False


def _kind(route: Route) -> ModuleType:
    """Which modules serve it."""
    if route.only_for is not None:
        return route.only_for
    return ModuleType.DBLB if route.protocol in DATABASE_PROTOCOLS else ModuleType.ALB


def _numbers(seen: RolloutView | None) -> str:
    """What the last decision rests on."""
    if seen is None:
        return ""
    if not seen.decisions:
        return seen.reason
    last = seen.decisions[-1]
    canary, baseline = last.canary, last.baseline
    return (
        f"{last.reason} ({canary.errors:.0f} of {canary.requests:.0f} requests failed, "
        f"{baseline.errors:.0f} of {baseline.requests:.0f} beside it)"
    )
