"""Settling: what a client has set, brought to whichever server it gets. Pure.

A server reports some settings whenever they change, whoever changed them and however; these follow their client. What a
server does not report is not known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from marchproxy.wire.postgres import encode

#: Settings that servers report and that a client may change. Others are facts about the server.
FOLLOWING = frozenset(
    {
        "application_name",
        "client_encoding",
        "DateStyle",
        "default_transaction_read_only",
        "IntervalStyle",
        "search_path",
        "standard_conforming_strings",
        "TimeZone",
    }
)
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client's session has for each setting that follows it."""

    values: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    def as_reported(self, parameters: Mapping[str, str]) -> "Settings":
        """The same, after a server that the client had reports these."""
        values = self.values
        for name in FOLLOWING:
            if name in parameters and values.get(name) != parameters[name]:
                return _shared(tuple((name, parameters[name]) for name in FOLLOWING if name in parameters))
        return self


@lru_cache(maxsize=4096)  # so that settings that are the same are one value, and compared in no time
def _shared(values: tuple[tuple[str, str], ...]) -> Settings:
    return Settings(dict(values))


def setting(values: Mapping[str, str]) -> bytes:
    """The query that sets these in a server's session."""
    # set_config takes lists, such as a search path, as one text; SET would take them for one name
    calls = [
        f"pg_catalog.set_config({_literal(name)}, {_literal(value)}, false)" for name, value in values.items()
    ]
    return encode.query("SELECT " + ", ".join(calls))


def difference(wanted: Settings, server: Mapping[str, str]) -> bytes:
    """The query that gives a server's session what a client has set; empty when it has that already."""
    values = {
        name: value for name, value in wanted.values.items() if name in server and server[name] != value
    }
    return setting(values) if values else b""


def _literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
