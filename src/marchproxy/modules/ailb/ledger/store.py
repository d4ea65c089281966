"""Stores: where a journal keeps entries and totals. A folder of files does; a database can take its place."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.totals import Row, Totals


class Store(Protocol):
    """What a journal needs. Its calls block, and are made one at a time; each may raise OSError."""

    def restore(self, totals: Totals, now: int) -> None:
        """Add what was spent in the month of `now`, before anything is appended."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Keep all of them, in this order, or none."""

    def snapshot(self, rows: Sequence[Row]) -> None:
        """Keep the totals as they are after everything that was appended."""

    def entries(self, since: int, until: int) -> Iterator[Entry]:
        """Those that ended at or after `since` and before `until`, as they were appended."""

    def close(self) -> None:
        """Let go of everything."""
