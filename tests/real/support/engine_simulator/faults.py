"""Faults: what an engine is told to do wrong, by its control endpoint or by the end of a model's name (`sim+reset-3`)."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What goes wrong. Those with a place do it behind so many tokens (of a JSON answer: bytes); without one, before the head."""

    STATUS = "status"  # status-429: this status, with an error of the engine's own
    LATE = "late"  # late-0.5: the head comes after so many seconds
    RESET = "reset"  # the connection is reset
    EOF = "eof"  # the connection is closed in good order, in the middle of the answer
    CUT = "cut"  # half an event, and the connection is reset
    STALL = "stall"  # nothing more comes, and the connection stays
    GARBAGE = "garbage"  # an event that is none, and the end of the answer
    ERROR = "error"  # an event with an error in it, and the end of the answer
    RAGGED = "ragged"  # nothing wrong: events are cut into chunks anywhere


@dataclass(frozen=True, slots=True)
class Fault:
    """`number`: None: before the head."""

    kind: Kind
    number: float | None = None

    @property
    def place(self) -> int | None:
        """Behind how many tokens it happens; None: nowhere among them."""
        inside = self.kind not in {Kind.STATUS, Kind.LATE, Kind.RAGGED} and self.number is not None
        return int(self.number or 0) if inside else None

    @property
    def is_first(self) -> bool:
        """Whether it happens before the head."""
        return self.number is None and self.kind is not Kind.RAGGED


def parse(word: str) -> Fault:
    """`KIND` or `KIND-NUMBER`. Raises ValueError."""
    kind, dash, number = word.partition("-")
    return Fault(Kind(kind), float(number) if dash else None)


def of_model(model: str) -> Fault | None:
    """What a model's name asks for. Raises ValueError."""
    _, plus, word = model.partition("+")
    return parse(word) if plus else None
