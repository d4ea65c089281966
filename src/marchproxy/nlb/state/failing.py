"""Failing: what came of the calls to one module. Pure.

A module that says no is alive, so a refusal is counted and remembered but is no sign of ill health; only calls that
brought no usable answer are.
"""

from dataclasses import dataclass, replace

#: So many calls in a row without an answer mark an instance as degraded.
DEGRADED_AFTER = 3


@dataclass(frozen=True, slots=True)
class Record:
    """Calls that failed or were refused since the instance registered; `reason` is the last one's."""

    failed: int = 0
    refused: int = 0
    in_a_row: int = 0
    reason: str = ""

    @property
    def trouble(self) -> str:
        """Why the instance counts as degraded, or empty."""
        if self.in_a_row < DEGRADED_AFTER:
            return ""
        return f"{self.in_a_row} calls in a row failed, the last with: {self.reason}"


def answered(record: Record) -> Record:
    """A call was answered."""
    return replace(record, in_a_row=0) if record.in_a_row else record


def refused(record: Record, reason: str) -> Record:
    """A call was answered with no."""
    return replace(record, refused=record.refused + 1, in_a_row=0, reason=reason)


def failed(record: Record, reason: str) -> Record:
    """A call brought no usable answer."""
    return replace(record, failed=record.failed + 1, in_a_row=record.in_a_row + 1, reason=reason)
