"""Whose: a reservation as Envoy carries it, so that it is not lost with the decider that made it. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.who import Who

_LONGEST_NUMBER = 12


@dataclass(frozen=True, slots=True)
class Whose:
    """What `asking.WHO` says."""

    route: str
    who: Who
    expected: Usage


def encode(route: str, who: Who, expected: Usage) -> str:
    """The value of the header."""
    return f"{_names(route, who)}&{expected.input}&{expected.output}"


def decode(value: str) -> Whose | None:
    """None: it says nothing that is understood."""
    parts = value.split("&")
    if len(parts) != 6:
        return None
    *names, read, written = parts
    if not all(
        part.isascii() and part.isdigit() and len(part) <= _LONGEST_NUMBER for part in (read, written)
    ):
        return None
    route, key, user, team = map(unquote, names)
    return Whose(route, Who(key, user, team), Usage(int(read), int(written)))


@lru_cache(maxsize=4096)
def _names(route: str, who: Who) -> str:
    return "&".join(quote(name, "") for name in (route, *who))
