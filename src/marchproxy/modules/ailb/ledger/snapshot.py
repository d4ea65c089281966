"""Snapshots: the totals as one small document, and how far in the journal they reach. Pure."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from marchproxy.model.ai import AllowanceScope
from marchproxy.modules.ailb.ledger.periods import Today
from marchproxy.modules.ailb.ledger.totals import Row, Totals

_FORMAT = 1


class Unusable(ValueError):
    """The bytes are no snapshot, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a journal has been read: the number of the file, and bytes in it."""

    file: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What everybody has spent, by all that stands before a position of the journal."""

    position: Position = Position()
    rows: Sequence[Row] = ()

    def restore(self, totals: Totals, when: Today) -> None:
        """Set what is of this month, or of one from which the clock was set back."""
        for scope, name, day, spent_today, month, this_month in self.rows:
            if month >= when.month:
                found = totals.of(AllowanceScope(scope), name)
                found.day, found.today, found.month, found.this_month = day, spent_today, month, this_month

    def encode(self) -> bytes:
        """As it is kept."""
        rows = json.dumps(self.rows, separators=(",", ":")).encode()
        head = {"format": _FORMAT, "file": self.position.file, "offset": self.position.offset}
        return json.dumps(head | {"crc32": zlib.crc32(rows)}).encode() + b"\n" + rows


def decode(data: bytes) -> Snapshot:
    """A snapshot. Raises Unusable."""
    first, _, kept = data.partition(b"\n")
    try:
        head = json.loads(first)
        if (head["format"], head["crc32"]) != (_FORMAT, zlib.crc32(kept)):
            raise Unusable("another format, or damaged")
        rows = tuple(
            (AllowanceScope(scope).value, str(name), int(day), int(spent_today), int(month), int(this_month))
            for scope, name, day, spent_today, month, this_month in json.loads(kept)
        )
        return Snapshot(Position(int(head["file"]), int(head["offset"])), rows)
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable(f"no snapshot of totals: {error}") from error
