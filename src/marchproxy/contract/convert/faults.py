"""Faults: every problem found while a message is read, each with the path of its field."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from marchproxy.model.problem import InvalidValue, Problem

P = TypeVar("P")
V = TypeVar("V")


class Faults:
    """Collects problems, so that a reader can go on after the first."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def add(self, path: str, message: str) -> None:
        """Note one problem of the field at `path`."""
        self._problems.append(Problem(path, message))

    def raise_any(self) -> None:
        """Raise InvalidValue with every problem, if there is one."""
        if self._problems:
            raise InvalidValue(self._problems)


Reader = Callable[[P, str, Faults], V]


def read_one(pb: P, path: str, read: Reader[P, V]) -> V:
    """What `read` makes of one message. Raises InvalidValue with all its problems."""
    faults = Faults()
    value = read(pb, path, faults)
    faults.raise_any()
    return value


def read_all(pbs: Iterable[P], path: str, read: Reader[P, V]) -> tuple[V, ...]:
    """What `read` makes of each message. Raises InvalidValue with all problems of all of them."""
    faults = Faults()
    values = tuple(read(pb, f"{path}[{index}]", faults) for index, pb in enumerate(pbs))
    faults.raise_any()
    return values
