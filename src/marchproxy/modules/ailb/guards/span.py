"""Span: a place in a text where something was found, and who finds such places. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Span(NamedTuple):
    """Characters `start` to `end` of a text are a `kind`. Something is found where weights of kinds sum up to 1."""

    start: int
    end: int
    kind: str
    weight: float = 1.0


class Looker(Protocol):
    """Finds spans. `step`: characters of a text that it is shown at once; `skips`: roles whose texts it does not look at."""

    @property
    def step(self) -> int:
        """A look at so many takes no longer than others can wait."""

    @property
    def skips(self) -> frozenset[str]:
        """In the words of the APIs."""

    def look(self, text: str, start: int, end: int) -> list[Span]:
        """The spans that begin from `start` to before `end`, in their order; they may reach beyond it."""


def add(spans: list[Span], span: Span) -> None:
    """Keep one more of those that are in order, unless it overlaps one that was found before it."""
    at = bisect_left(spans, span)
    if (at and spans[at - 1].end > span.start) or (at < len(spans) and spans[at].start < span.end):
        return
    spans.insert(at, span)


def weigh(spans: Sequence[Span]) -> bool:
    """Whether something is found: each kind counts once."""
    heaviest: dict[str, float] = {}
    for span in spans:
        heaviest[span.kind] = max(span.weight, heaviest.get(span.kind, 0.0))
    return sum(heaviest.values()) >= 1.0


def replaced(text: str, spans: Sequence[Span]) -> str:
    """With a word in the place of each span, which says what it was: `[EMAIL]`."""
    parts: list[str] = []
    at = 0
    for span in spans:
        parts += (text[at : span.start], f"[{span.kind.upper()}]")
        at = span.end
    return "".join((*parts, text[at:]))
