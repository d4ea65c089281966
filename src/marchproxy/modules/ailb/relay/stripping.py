"""Stripping: takes out of a stream of OpenAI's the numbers that a provider was asked for and its client was not. Pure.

What providers mostly write is found by an expression, at the end of an event, and costs a microsecond; all else is read as JSON.
"""

import re
from enum import Enum

from marchproxy.modules.ailb.dialects.rewriting import without_usage

_USAGE = b'"usage"'
#: The last member of an event. In a text its quotes would be escaped; deeper in, another brace would follow.
_AT_THE_END = re.compile(rb',[ ]?"usage":[ ]?(?:null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})(?=\}\r?\n)')
_NO_CHOICES = re.compile(rb'"choices": ?\[\]')
_DATA = b"data:"


class Strip(Enum):
    """Nothing; the numbers of every event but the last, which has nothing else; all of them."""

    NOTHING = "nothing"
    EACH = "each"
    ALL = "all"


def strip(data: bytes, how: Strip) -> bytes:
    """Whole events, without."""
    if how is Strip.NOTHING or _USAGE not in data:
        return data
    if _NO_CHOICES.search(data) is None:
        short = _AT_THE_END.sub(b"", data)
        if _USAGE not in short:
            return short
    return b"".join([_event(event, how) for event in _events(data)])


def _events(data: bytes) -> list[bytes]:
    """Each with its empty line."""
    return [event for event in re.split(rb"(?<=\n\n)|(?<=\n\r\n)", data) if event]


def _event(event: bytes, how: Strip) -> bytes:
    """One that has another line than one of data is left as it is."""
    if _USAGE not in event or not event.startswith(_DATA) or event.rstrip().count(b"\n"):
        return event
    if _NO_CHOICES.search(event) is None and _USAGE not in (short := _AT_THE_END.sub(b"", event)):
        return short
    data = event.removeprefix(_DATA).strip()
    kept = without_usage(data)
    if kept is None:
        return event if how is Strip.EACH else b""
    return event if kept is data else b"data: %b\n\n" % kept
