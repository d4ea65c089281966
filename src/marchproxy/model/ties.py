"""Ties: pairs among many routes that could take one and the same session or stream. Pure.

Only routes that begin alike, in what tells most of them apart, are compared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from marchproxy.model.glob import is_glob, literal_beginning
from marchproxy.model.route import Route

#: For each kind of condition of a route what its values begin with; [""] where any value will do.
Beginnings: TypeAlias = tuple[Sequence[str], ...]


def first_ties(
    group: Sequence[Route],
    beginnings: Callable[[Route], Beginnings],
    meet: Callable[[Route, Route], bool],
) -> Iterator[tuple[Route, Route]]:
    """Each route with the first earlier one that it meets; `beginnings` of two that meet begin one another in each kind."""
    keys = [beginnings(route) for route in group]
    kinds = range(len(keys[0]) if keys else 0)
    telling = max(kinds, key=lambda kind: len({key for own in keys for key in own[kind]}), default=0)
    index = _Index()
    for number, route in enumerate(group):
        own = keys[number][telling]
        rivals = sorted(index.rivals(own))
        first = next((group[rival] for rival in rivals if meet(group[rival], route)), None)
        if first is not None:
            yield first, route
        index.add(own, number)


def of_patterns(patterns: Sequence[str]) -> Sequence[str]:
    """What patterns begin with: a plain name with all of it and an end."""
    return [literal_beginning(name) if is_glob(name) else f"{name}\0" for name in patterns] or [""]


def of_texts(texts: Sequence[str]) -> Sequence[str]:
    """The same of texts that are no patterns."""
    return [f"{text}\0" for text in texts] or [""]


class _Index:
    """Which of the texts that are known begin as others do."""

    def __init__(self) -> None:
        self._whole: dict[str, list[int]] = defaultdict(list)
        self._heads: dict[str, list[int]] = defaultdict(list)

    def add(self, keys: Sequence[str], number: int) -> None:
        for key in keys:
            self._whole[key].append(number)
            for length in range(len(key) + 1):
                self._heads[key[:length]].append(number)

    def rivals(self, keys: Sequence[str]) -> set[int]:
        """Of each one that is the beginning of one of `keys`, or begins with one."""
        found: set[int] = set()
        for key in keys:
            found.update(self._heads.get(key, ()))
            for length in range(len(key)):
                found.update(self._whole.get(key[:length], ()))
        return found
