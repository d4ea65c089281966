"""Entries: what is written down of each request that is settled, a line of JSON each. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.periods import iso, nanoseconds
from marchproxy.modules.ailb.ledger.reservation import Settled
from marchproxy.modules.ailb.ledger.who import Who

#: Bytes of a line that is read; none of ours is as long.
LONGEST = 16 * 1024


class Garbled(ValueError):
    """The line is no entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that has ended. `at`: when it did, in nanoseconds since the epoch; `cost` in micro-units. `ended`: how.

    Not `is_counted`: nobody has said what it used, and it is what had been reserved.
    """

    at: int
    number: int
    request_id: str
    who: Who
    model: str
    pool: str
    usage: Usage
    cost: int
    ended: str
    is_counted: bool

    @classmethod
    def of(cls, settled: Settled, *, request_id: str, pool: str, ended: str) -> "Entry":
        """The entry of a request that was settled."""
        reservation = settled.reservation
        return cls(
            settled.at, reservation.number, request_id, reservation.who, reservation.model, pool, settled.usage,
            settled.cost, ended, settled.is_counted,
        )  # fmt: skip

    def encode(self) -> bytes:
        """A line, with its end."""
        told = {
            "time": iso(self.at),
            "number": self.number,
            "request_id": self.request_id,
            "key": self.who.key,
            "user": self.who.user,
            "team": self.who.team,
            "model": self.model,
            "pool": self.pool,
            "input": self.usage.input,
            "output": self.usage.output,
            "cached": self.usage.cached,
            "cost": self.cost,
            "ended": self.ended,
            "counted": self.is_counted,
        }
        return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Entry:
    """A line. Raises Garbled."""
    try:
        told = json.loads(line)
        return Entry(
            nanoseconds(_text(told, "time")),
            _whole(told, "number"),
            _text(told, "request_id"),
            Who(_text(told, "key"), _text(told, "user"), _text(told, "team")),
            _text(told, "model"),
            _text(told, "pool"),
            Usage(_whole(told, "input"), _whole(told, "output"), _whole(told, "cached")),
            _whole(told, "cost"),
            _text(told, "ended"),
            told["counted"] is True,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Garbled(f"no entry of a journal: {error!r}") from error


def _text(told: Any, name: str) -> str:
    value = told[name]
    if not isinstance(value, str):
        raise Garbled(f"{name} is no text")
    return value


def _whole(told: Any, name: str) -> int:
    value = told[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Garbled(f"{name} is no number")
    return value
