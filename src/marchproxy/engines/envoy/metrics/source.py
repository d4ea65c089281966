"""Sources: which of Envoy's statistics become which series. A table is a sequence of them; reading one is pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from marchproxy.engines.envoy.metrics.family import Family, Labels

_STAT = "<stat>"
_CLASS = "class"
_GROUP = re.compile(r"\(\?P<\w+>")


@dataclass(frozen=True, slots=True)
class Cell:
    """The series that a statistic is added to: its family, and labels that the statistic's kind stands for."""

    family: Family
    labels: Labels = ()


def cell(family: Family, **labels: str) -> Cell:
    """A cell, its labels written as arguments."""
    return Cell(family, tuple(labels.items()))


@dataclass(frozen=True)
class Source:
    """The statistics of one kind of thing; `cells` says what each stat is.

    `pattern` is a regular expression for RE2 and Python alike in which `<stat>` stands where the stat's name is. Its one
    named group, if any, is the label that tells the things apart; beside it, a group `class` may hold the first digit of
    a status. `spell` writes the label's value as people do.
    """

    pattern: str
    cells: Mapping[str, Cell] = field(hash=False)
    spell: Callable[[str], str] = str

    @cached_property
    def expression(self) -> str:
        """The names of all its statistics."""
        stats = "|".join(re.escape(stat) for stat in self.cells)
        return self.pattern.replace(_STAT, f"(?P<stat>{stats})")

    @cached_property
    def label(self) -> str:
        """The label that its things are told apart by; empty: there is one thing only."""
        return next((name for name in self._compiled.groupindex if name not in {"stat", _CLASS}), "")

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.expression)

    def read(self, name: str) -> tuple[str, Cell] | None:
        """The thing and the cell that a statistic belongs to; None: to nothing here."""
        found = self._compiled.fullmatch(name)
        if found is None:
            return None
        thing = self.spell(found[self.label]) if self.label else ""
        its = self.cells[found["stat"]]
        digit = found.groupdict().get(_CLASS)
        return thing, its if digit is None else Cell(its.family, (*its.labels, (_CLASS, f"{digit}xx")))


def wanted(sources: Iterable[Source], *others: str) -> str:
    """The RE2 pattern that asks Envoy for what the sources read, and for `others` beside."""
    expressions = [_GROUP.sub("(", source.expression) for source in sources]
    return f"^({'|'.join((*expressions, *others))})$"
