"""Entries: what is written down of each request that is settled, a line of JSON each. Pure."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.periods import SECOND, iso, nanoseconds
from marchproxy.modules.ailb.ledger.reservation import Settled
from marchproxy.modules.ailb.ledger.who import Who

#: How a line begins: when it was (as `iso` has it, so that these sort), and its number.
HEAD = re.compile(rb'{"time":"([^"]+)","number":([0-9]+),')
#: What any number of ours is below; as a time it is in the year 2262.
_MOST = 1 << 63


class Garbled(ValueError):
    """The line is no entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that has ended. `at`: when it did, in nanoseconds since the epoch; `cost` in micro-units. `ended`: how.

    Not `is_counted`: nobody has said what it used, and it is a guess, or what had been reserved.
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
        # put together by hand: a thread that encodes holds up the decisions, and json.dumps takes four times as long
        who, usage = self.who, self.usage
        return (
            f'{{"time":"{_time(self.at)}","number":{self.number},"request_id":{json.dumps(self.request_id)},'
            f'"key":{_quoted(who.key)},"user":{_quoted(who.user)},"team":{_quoted(who.team)},'
            f'"model":{_quoted(self.model)},"pool":{_quoted(self.pool)},'
            f'"input":{usage.input},"output":{usage.output},"cached":{usage.cached},"cost":{self.cost},'
            f'"ended":{_quoted(self.ended)},"counted":{"true" if self.is_counted else "false"}}}\n'
        ).encode()


def decode(line: bytes) -> Entry:
    """A line. Raises Garbled."""
    try:
        told = json.loads(line)
        return Entry(
            _moment(told),
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


@lru_cache(maxsize=4096)
def _quoted(name: str) -> str:
    return json.dumps(name)


def _time(at: int) -> str:
    second, rest = divmod(at, SECOND)
    return f"{_second(second)}{rest // 1_000_000:03d}Z"


@lru_cache(maxsize=16)
def _second(second: int) -> str:
    return iso(second * SECOND)[:-4]


def _text(told: Any, name: str) -> str:
    value = told[name]
    if not isinstance(value, str):
        raise Garbled(f"{name} is no text")
    return value


def _whole(told: Any, name: str) -> int:
    value = told[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST:
        raise Garbled(f"{name} is no number")
    return value


def _moment(told: Any) -> int:
    at = nanoseconds(_text(told, "time"))
    if not 0 <= at < _MOST:
        raise Garbled("time is none of ours")
    return at
