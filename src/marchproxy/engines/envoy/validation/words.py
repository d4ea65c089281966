"""Words: what Envoy says of a configuration that it refuses, cut down to what its author needs. No I/O."""

import re
from collections.abc import Iterator

_LONGEST = 1_000
_PREFIX = re.compile(r"error initializing configuration '[^']*': ")
_CONSTRAINT = re.compile(r"Proto constraint validation failed \((.*)\)", re.DOTALL)
_NESTED = re.compile(
    r"\w+ValidationError\.(\w+)(?:\[[^\]]*\])?: embedded message failed validation \| caused by "
)
_FIELD = re.compile(r"ValidationError\.(\w+)")
_QUOTED = re.compile(r"'([^']{2,})'|\"([^\"]{2,})\"")


def reason(output: str) -> str:
    """The reason in what `envoy --mode validate` wrote, or in the message of a NACK; at most 1,000 characters."""
    found = _PREFIX.search(output)
    words = output[found.end() :] if found else output
    if (constraint := _CONSTRAINT.search(words)) is not None:
        words = constraint[1]  # Envoy puts the whole message before it
    words = _NESTED.sub("", words).strip()
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


def fields(message: str) -> tuple[str, ...]:
    """The fields that Envoy found at fault, outermost first, in the words of its own messages: `ResponseHeadersToAdd`."""
    return tuple(_FIELD.findall(message))


def tokens(message: str) -> tuple[str, ...]:
    """Pieces of the message that are likely to be copied from the configuration: a quoted pattern, a misused operator."""
    return tuple(dict.fromkeys(_tokens(reason(message))))


def _tokens(words: str) -> Iterator[str]:
    for single, double in _QUOTED.findall(words):
        yield single or double
    _, colon, last = words.rpartition(": ")
    if colon and 2 <= len(last) <= 200:
        yield last.strip()
