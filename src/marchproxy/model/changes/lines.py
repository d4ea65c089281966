"""Lines: what differs between two texts, with a little of what is around it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

LineKind: TypeAlias = Literal["same", "gone", "new"]
_AROUND = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the texts; "gone" is of the first alone, "new" of the second."""

    kind: LineKind
    text: str


def compare_lines(before: Sequence[str], after: Sequence[str], *, around: int = _AROUND) -> Iterator[Line]:
    """The lines that are not the same, and as many of those `around` them."""
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(around):
        for word, left, left_end, right, right_end in group:
            if word == "equal":
                yield from (Line("same", text) for text in before[left:left_end])
                continue
            yield from (Line("gone", text) for text in before[left:left_end])
            yield from (Line("new", text) for text in after[right:right_end])
