"""News: what happened between two views, as events. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from marchproxy.manager.watching.view import LiveView, PartView, RolloutView
from marchproxy.model.module import HealthStatus
from marchproxy.model.record import Event, Severity

#: A part that runs something else for longer is worth a word: an apply is over by then.
BEHIND = timedelta(seconds=20)

_BAD = {HealthStatus.UNHEALTHY: "error", HealthStatus.STOPPED: "error", HealthStatus.DEGRADED: "warning"}


def news(before: LiveView, after: LiveView, at: datetime) -> Iterator[Event]:
    """What is worth telling of the step from `before` to `after`. The first view in which an NLB is heard tells nothing of
    what it finds there."""
    yield from _of_revisions(before, after, at)
    if before.at is None:
        return
    yield from _of_nlbs(before, after, at)
    yield from _of_parts(before, after, at)
    yield from _of_rollouts(before, after, at)
    yield from _of_scaling(before, after, at)


def _of_revisions(before: LiveView, after: LiveView, at: datetime) -> Iterator[Event]:
    old, new = before.head, after.head
    if old is None or new is None or old.number == new.number:
        return
    changed = f"+{new.summary.added} ~{new.summary.changed} -{new.summary.removed}"
    reason = f": {new.reason}" if new.reason else ""
    yield Event(at, "revision.applied", str(new.number), f"by {new.author.name}, {changed}{reason}")


def _of_nlbs(before: LiveView, after: LiveView, at: datetime) -> Iterator[Event]:
    known = {nlb.address: nlb for nlb in before.nlbs}
    for nlb in after.nlbs:
        old = known.get(nlb.address)
        if old is None:
            continue
        name = nlb.id or nlb.address
        if nlb.failure and not old.failure:
            yield Event(at, "nlb.lost", name, f"does not answer: {nlb.failure}", "error")
        elif old.failure and not nlb.failure:
            yield Event(at, "nlb.back", name, f"answers again at {nlb.address}")


def _of_parts(before: LiveView, after: LiveView, at: datetime) -> Iterator[Event]:
    known = {part.id: part for part in before.parts}
    heard = {nlb.address for nlb in after.nlbs if not nlb.failure}
    for part in after.parts:
        old = known.pop(part.id, None)
        if old is None:
            yield Event(at, "instance.came", part.id, f"{part.kind.value} {part.version} at {part.address}")
            continue
        yield from _of_health(old, part, at)
        if _is_behind(part, at) and not _is_behind(old, before.looked_at or at):
            words = f"runs configuration {part.checksum[:12] or 'of nobody'} and not {after.current[:12]}"
            yield Event(at, "instance.behind", part.id, words, "warning")
        elif _is_behind(old, before.looked_at or at) and part.is_current:
            yield Event(at, "instance.current", part.id, "runs what it should again")
    for part_id, old in known.items():
        if old.nlb in heard:  # of one that is silent nobody knows who left it
            ended = old.health is HealthStatus.STOPPING
            words = "left, drained" if ended else "is gone"
            yield Event(at, "instance.gone", part_id, words, "info" if ended else "warning")


def _of_health(old: PartView, part: PartView, at: datetime) -> Iterator[Event]:
    if old.since and part.since and part.since > old.since:
        yield Event(at, "instance.restarted", part.id, f"was started again at {part.since:%H:%M:%S} UTC")
    if old.health is part.health or part.health is None:
        return
    severity: Severity = "info"
    if part.health in _BAD:
        severity = "error" if _BAD[part.health] == "error" else "warning"
        why = f": {'; '.join(part.troubles)}" if part.troubles else ""
        yield Event(at, f"instance.{part.health.value}", part.id, f"is {part.health.value}{why}", severity)
    elif part.health is HealthStatus.HEALTHY and old.draining:
        yield Event(at, "instance.undrained", part.id, "takes traffic again")
    elif part.health is HealthStatus.HEALTHY:
        yield Event(at, "instance.recovered", part.id, "is healthy")
    elif part.health is HealthStatus.STOPPING:
        yield Event(at, "instance.draining", part.id, "takes nothing new")


def _is_behind(part: PartView, at: datetime) -> bool:
    return bool(part.behind_since) and part.behind_since is not None and at - part.behind_since >= BEHIND


def _of_rollouts(before: LiveView, after: LiveView, at: datetime) -> Iterator[Event]:
    known = {(one.on, one.target, one.version): one for one in before.rollouts}
    for one in after.rollouts:
        old = known.get((one.on, one.target, one.version))
        subject = f"{one.on}/{one.target or '*'}"
        if old is not None and (old.phase, old.percent) == (one.phase, one.percent):
            continue
        if one.phase == "ramping":
            if old is None or old.phase != "ramping":
                yield Event(at, "rollout.started", subject, _words(one))
            else:
                yield Event(at, "rollout.step", subject, _words(one))
        elif old is not None or _is_fresh(one, before):
            severity: Severity = "warning" if one.phase == "rolled_back" else "info"
            yield Event(at, f"rollout.{one.phase}", subject, _words(one), severity)


def _is_fresh(one: RolloutView, before: LiveView) -> bool:
    """Whether it ended since the last look: a part that comes may tell of one that ended long ago."""
    return one.updated_at is not None and before.looked_at is not None and one.updated_at > before.looked_at


def _words(one: RolloutView) -> str:
    return f"version {one.version} has {one.percent} %: {one.reason}"


def _of_scaling(before: LiveView, after: LiveView, at: datetime) -> Iterator[Event]:
    """Decisions to hold are no news."""
    known = {(one.nlb, one.module_type, one.at) for one in before.scaling}
    heard = {nlb.address for nlb in before.nlbs if nlb.last_seen is not None}
    for one in reversed(after.scaling):
        if one.way == "hold" or one.nlb not in heard or (one.nlb, one.module_type, one.at) in known:
            continue
        outcome = f"; {one.outcome}" if one.outcome else ""
        words = f"{one.current} → {one.wanted}: {one.reason}{outcome}"
        yield Event(at, f"scaling.{one.way}", one.module_type, words)
