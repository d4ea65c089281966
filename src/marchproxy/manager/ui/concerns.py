"""Concerns: what of a view somebody should look at, the worst first. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from marchproxy.manager.ui.components.badge import Tone
from marchproxy.manager.ui.components.markup import address
from marchproxy.manager.ui.components.words import plural
from marchproxy.manager.watching import LiveView
from marchproxy.model.module import HealthStatus

_ORDER = (Tone.BAD, Tone.WARN, Tone.BUSY)
#: More are only counted.
MOST = 8


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing, where it leads, and how bad it is."""

    tone: Tone
    subject: str
    words: str
    href: str


def concerns(view: LiveView) -> tuple[Concern, ...]:
    """All of them."""
    found = (*_of_nlbs(view), *_of_parts(view), *_of_pools(view), *_of_rollouts(view), *_of_listeners(view))
    return tuple(sorted(found, key=lambda one: _ORDER.index(one.tone)))


def _of_nlbs(view: LiveView) -> Iterator[Concern]:
    for nlb in view.nlbs:
        name = nlb.id or nlb.address
        if nlb.failure:
            yield Concern(Tone.BAD, name, f"does not answer: {nlb.failure}", "/modules")
        elif nlb.health is HealthStatus.UNHEALTHY:
            yield Concern(Tone.BAD, name, nlb.message or "is unhealthy", "/modules")
        elif view.current and not nlb.is_current:
            yield Concern(Tone.WARN, name, "does not run the revision in force yet", "/revisions")


def _of_parts(view: LiveView) -> Iterator[Concern]:
    for part in view.parts:
        href = address("modules", part.id)
        if part.health is HealthStatus.UNHEALTHY:
            yield Concern(Tone.BAD, part.id, "is unhealthy and gets no new connections", href)
        elif part.silent:
            yield Concern(Tone.WARN, part.id, f"does not answer the manager: {part.silent}", href)
        elif part.health is HealthStatus.DEGRADED:
            yield Concern(Tone.WARN, part.id, "; ".join(part.troubles) or "serves, but not all is well", href)
        elif view.current and not part.is_current:
            yield Concern(Tone.WARN, part.id, "does not run the revision in force yet", href)
        if part.draining:
            yield Concern(Tone.BUSY, part.id, f"drains: {plural(part.connections, 'connection')} left", href)


def _of_pools(view: LiveView) -> Iterator[Concern]:
    for pool in view.pools.values():
        many = len(pool.endpoints)
        if many and not pool.sound:
            yield Concern(
                Tone.BAD,
                pool.name,
                f"none of its {plural(many, 'endpoint')} is healthy",
                address("pools", pool.name),
            )
        elif pool.sound < many:
            words = f"{many - pool.sound} of {plural(many, 'endpoint')} {'is' if many - pool.sound == 1 else 'are'} not healthy"
            yield Concern(Tone.WARN, pool.name, words, address("pools", pool.name))
        elif pool.trouble:
            yield Concern(Tone.WARN, pool.name, pool.trouble, address("pools", pool.name))


def _of_rollouts(view: LiveView) -> Iterator[Concern]:
    for rollout in view.rollouts:
        if rollout.phase == "ramping":
            words = f"{rollout.version} has {rollout.percent} %: {rollout.reason or 'under way'}"
            yield Concern(Tone.BUSY, rollout.target or "all routes", words, "/rollouts")


def _of_listeners(view: LiveView) -> Iterator[Concern]:
    for one in view.listeners:
        if one.failed > 0:
            yield Concern(Tone.WARN, one.name, "connections reach nobody", address("listeners", one.name))
