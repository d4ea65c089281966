"""Report: how an attempt at a request ended, as a relay tells it in a line of JSON, or an Envoy in its access log. Pure.

A relay reports each attempt. One of which the client has seen nothing settles nothing: Envoy may try another, and has the
last word.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from marchproxy.model.usage import Usage

#: Bytes of a line.
LONGEST = 16 * 1024
_LONGEST_TEXT = 512
_TIMES = ("first_token", "per_token", "longest_gap", "duration")
_PLAIN = ("number", "pool", "host", "status", "events", *_TIMES, "attempts")
_USAGE = ("input", "output", "cached")


class Ending(Enum):
    """How it ended. CLIENT_GONE: hung up; BROKEN: by who answered, after the first byte; REFUSED: an error status;
    UNREACHED: no answer at all, or none in time. OWN: we answered. UNREPORTED: nobody has said. GOING: it has not, as a relay tells a
    decider that was not there when it began."""

    COMPLETE = "complete"
    CLIENT_GONE = "client_gone"
    BROKEN = "broken"
    REFUSED = "refused"
    UNREACHED = "unreached"
    OWN = "own"
    UNREPORTED = "unreported"
    GOING = "going"


_OPEN = frozenset({Ending.REFUSED, Ending.UNREACHED, Ending.CLIENT_GONE})


class Garbled(ValueError):
    """It is no report."""


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Report:
    """`number`: the reservation. `pool` and `host` are those of the attempt, `status` what was answered (0: nothing).

    `usage`: what the provider said, last; None: nothing. `events`: pieces of text (or of a tool's arguments) that the client was
    sent, so many tokens as far as one can know; None: nobody counted. Times in seconds: until the first of these, between two on average and at
    most, in all; None: not known. `attempts`: which one it was, from 1. `size`: bytes of the answer that the client was sent; None: only Envoy
    counts them. `fields`: what Envoy was told of the request (WHO and what
    goes with it), for a decider that did not let it pass; empty: it did.
    """

    number: int
    ending: Ending
    pool: str = ""
    host: str = ""
    status: int = 0
    usage: Usage | None = None
    events: int | None = None
    first_token: float | None = None
    per_token: float | None = None
    longest_gap: float | None = None
    duration: float | None = None
    attempts: int = 1
    size: int | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether the client has seen something of the answer, so that nobody else is asked.

        A relay that was hung up on does not know: Envoy may have lost patience, and ask somebody else.
        """
        return self.ending not in _OPEN

    def encode(self, *, whole: bool = True) -> bytes:
        """As a line, with its end. Not `whole`: without `fields`."""
        told = {name: value for name in _PLAIN if (value := getattr(self, name)) is not None}
        told["ending"] = self.ending.value
        if self.usage is not None:
            told["usage"] = {name: getattr(self.usage, name) for name in _USAGE}
        if whole and self.fields:
            told["fields"] = dict(self.fields)
        return json.dumps(told).encode() + b"\n"


def decode(line: bytes) -> Report:
    """A line. Raises Garbled."""
    try:
        told = json.loads(line)
        usage = told.get("usage")
        times: dict[str, Any] = {name: _time(told.get(name)) for name in _TIMES}
        report = Report(
            _whole(told["number"]),
            Ending(told["ending"]),
            _text(told.get("pool", "")),
            _text(told.get("host", "")),
            _whole(told.get("status", 0)),
            Usage(*(_whole(usage[name]) for name in ("input", "output", "cached"))) if usage else None,
            _whole(told["events"]) if told.get("events") is not None else None,
            **times,
            attempts=max(1, _whole(told.get("attempts", 1))),
            fields={_text(name): _text(value) for name, value in told.get("fields", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Garbled(f"no report: {error!r}") from error
    return report


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise Garbled(f"{value!r} is no number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise Garbled("a text is none, or too long")
    return value


def _time(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise Garbled(f"{value!r} is no time")
    return float(value)
