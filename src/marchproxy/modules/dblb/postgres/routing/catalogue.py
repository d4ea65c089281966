"""Catalogue: of one database, which functions are volatile and which relations a replica cannot answer for.

Read by the monitor, again every minute in which it is asked for, and soon when a name is not known. What was not read, or not
for long, is not known: then the primary is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.postgres.inquiry import FAULTS, Inquiry, Row
from marchproxy.modules.dblb.sql import Volatility

_log = get_logger(__name__)
_REFRESH_SECONDS = 60.0
_UNKNOWN_SECONDS = 5.0
_OLD_SECONDS = 300.0
_DEADLINE = 10.0
_UNREAD: tuple[type[Exception], ...] = (*FAULTS, TimeoutError)
_WORST = {0: Volatility.IMMUTABLE, 1: Volatility.STABLE, 2: Volatility.VOLATILE}

_FUNCTIONS = """SELECT lower(n.nspname), lower(p.proname),
 max(CASE p.provolatile WHEN 'i' THEN 0 WHEN 's' THEN 1 ELSE 2 END)
 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace GROUP BY 1, 2"""
# sequences are ahead on a replica (32 values are logged at once), what is not logged is not there, and what is foreign is
# another server's
_RELATIONS = """SELECT lower(n.nspname), lower(c.relname)
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('S', 'f') OR (c.relpersistence = 'u' AND c.relkind IN ('r', 'p', 'm'))"""

#: Opens a session of the monitor in the database, on the primary where there is one. Raises inquiry.FAULTS.
Open = Callable[[], Awaitable[Inquiry]]


class Catalogue:
    """Of one database. Names are in lower case: without a schema where the text has none, for any schema may be meant."""

    def __init__(self, database: str, connect: Open, group: asyncio.TaskGroup, clock: Clock) -> None:
        self._database = database
        self._connect = connect
        self._group = group
        self._clock = clock
        self._functions: dict[str, Volatility] = {}
        self._relations: frozenset[str] = frozenset()
        self._read_at = self._tried_at = float("-inf")
        self._reading = False

    def volatility(self, function: str) -> Volatility | None:
        """The worst of all functions of that name; None: not known (now)."""
        self._refresh(_REFRESH_SECONDS)
        found = self._functions.get(function)
        if found is None:
            self._refresh(_UNKNOWN_SECONDS)
        return found

    def is_primarys(self, tables: Iterable[str]) -> bool | None:
        """Whether one of these must be read on the primary; None: not known (now)."""
        self._refresh(_REFRESH_SECONDS)
        if not self._functions:
            return None
        return any(table in self._relations for table in tables)

    def _refresh(self, age: float) -> None:
        now = self._clock.monotonic()
        if now - self._read_at > _OLD_SECONDS:
            self._functions, self._relations = {}, frozenset()
        if self._reading or now - max(self._read_at, self._tried_at) < min(age, _UNKNOWN_SECONDS):
            return
        if now - self._read_at >= age:
            self._reading, self._tried_at = True, now
            self._group.create_task(self._read(), name=f"catalogue of {self._database}")

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(_DEADLINE):
                inquiry = await self._connect()
                try:
                    functions, relations = await inquiry.ask(_FUNCTIONS), await inquiry.ask(_RELATIONS)
                finally:
                    inquiry.end()
        except _UNREAD as fault:
            reason = str(fault) or f"no answer within {_DEADLINE:g} s"
            _log.warning("the functions of a database are not known", database=self._database, reason=reason)
        else:
            self._functions, self._relations = read_functions(functions), read_relations(relations)
            self._read_at = self._clock.monotonic()
        finally:
            self._reading = False


def read_functions(rows: Iterable[Row]) -> dict[str, Volatility]:
    """The worst volatility by name, with the schema and without."""
    worst: dict[str, int] = {}
    for schema, name, number in rows:
        for key in (name, f"{schema}.{name}"):
            if key is not None:
                worst[key] = max(worst.get(key, 0), int(number or 2))
    return {name: _WORST[number] for name, number in worst.items()}


def read_relations(rows: Iterable[Row]) -> frozenset[str]:
    """The names, with the schema and without."""
    return frozenset(key for schema, name in rows if name for key in (name, f"{schema}.{name}"))
