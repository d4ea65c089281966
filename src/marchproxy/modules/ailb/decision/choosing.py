"""Choosing: who is asked for an answer, in which order. What is chosen by is somebody else's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from marchproxy.model.module import PoolName
from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.plan import ModelPlan, Target


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be answered, in how many attempts at most. `affinity`: what keeps to one endpoint; empty: nothing."""

    model: ModelPlan
    asked: Asked
    attempts: int
    affinity: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The target of each attempt, and endpoints of all of them in the order in which they are to be asked."""

    targets: tuple[Target, ...]
    order: tuple[str, ...] = ()


class Chooser(Protocol):
    """Knows the endpoints."""

    def choose(self, wish: Wish, now: int) -> Choice | None:
        """None: nobody could answer."""


@dataclass(slots=True)
class Turns:
    """Asks the endpoints of each pool in turn; a target of a later tier when those before it have had their attempts."""

    places: Mapping[PoolName, tuple[str, ...]] = field(default_factory=dict)
    _turn: int = 0

    def choose(self, wish: Wish, now: int) -> Choice | None:  # noqa: ARG002 - others go by the time
        """As a Chooser's."""
        self._turn += 1
        targets: list[Target] = []
        order: list[str] = []
        for target in wish.model.targets:
            places = self.places.get(target.pool.name, ())
            at = self._turn % len(places) if places else 0
            order += places[at:] + places[:at]
            targets += [target] * max(1, len(places))
        return Choice(tuple(targets[: wish.attempts]), tuple(order)) if targets else None
