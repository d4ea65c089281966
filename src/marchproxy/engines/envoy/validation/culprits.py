"""Culprits: a search that finds which of many suspects are faulty, by asking about few groups of them. No I/O.

What was found good stays in every later question, so that a control plane can ask a live proxy and take nothing away that
serves. Of suspects that are bad only together one is found, and the others are good without it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Group(Generic[T]):
    """Suspects without an answer. `remains`: some of them are bad if all of the group before them is sound."""

    suspects: tuple[T, ...]
    remains: bool = False


@dataclass(frozen=True, slots=True)
class Search(Generic[T]):
    """One moment of a search. While there is a `question`: is all of `good` and the question sound, put together?

    At the end `good` is sound, and each of `culprits` beside it is not. One culprit among n takes about log2(n) answers
    and at most twice as many, n culprits at most 2 n.
    """

    good: tuple[T, ...] = ()
    culprits: tuple[T, ...] = ()
    _open: tuple[_Group[T], ...] = ()

    @property
    def question(self) -> tuple[T, ...]:
        """The suspects to ask about next, beside `good`; none: the search is over."""
        return self._open[0].suspects if self._open else ()

    def answered(self, *, sound: bool, likely: Iterable[T] = ()) -> "Search[T]":
        """Go on after the answer to `question`. `likely`: whom of those asked about the answer seems to mean."""
        first, rest = self._open[0].suspects, self._open[1:]
        if not sound:
            if rest:  # the answer for both may have been no because of these alone
                rest = (replace(rest[0], remains=False), *rest[1:])
            return _taken_apart(self.good, self.culprits, first, rest, likely)
        good = (*self.good, *first)
        if rest and rest[0].remains:
            return _taken_apart(good, self.culprits, rest[0].suspects, rest[1:], ())
        return replace(self, good=good, _open=rest)


def search_among(suspects: Iterable[T], likely: Iterable[T] = (), *, known_bad: bool = False) -> Search[T]:
    """A search at its beginning. `likely`: those who are probably bad; `known_bad`: all of them together are."""
    everyone = tuple(dict.fromkeys(suspects))
    if not everyone:
        return Search()
    if not known_bad:
        return Search(_open=(_Group(everyone),))
    return _taken_apart((), (), everyone, (), likely)


def _taken_apart(
    good: tuple[T, ...],
    culprits: tuple[T, ...],
    bad: tuple[T, ...],
    rest: tuple[_Group[T], ...],
    likely: Iterable[T],
) -> Search[T]:
    """A group that is bad beside `good`: a single suspect is a culprit, of others one part is asked about."""
    if len(bad) == 1:
        return Search(good, (*culprits, *bad), rest)
    first, second = _parts(bad, frozenset(likely))
    return Search(good, culprits, (_Group(first), _Group(second, remains=True), *rest))


def _parts(bad: tuple[T, ...], likely: frozenset[T]) -> Iterator[tuple[T, ...]]:
    """The probably sound ones first: they are settled by one answer. Without a hint, halves."""
    meant = tuple(suspect for suspect in bad if suspect in likely)
    if 0 < len(meant) < len(bad):
        yield tuple(suspect for suspect in bad if suspect not in likely)
        yield meant
    else:
        middle = len(bad) // 2
        yield bad[:middle]
        yield bad[middle:]
