"""Audit and events as rows."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, delete, func, insert, select

from marchproxy.model.record import AuditEntry, Event
from marchproxy.store.rows.base import Rows, named
from marchproxy.store.store import RecordStore
from marchproxy.store.tables import audit, events

#: So many are removed at a time, between which others write.
_BATCH = 2000


class RecordRows(Rows, RecordStore):
    """See `RecordStore`."""

    async def write_audit(self, entry: AuditEntry) -> AuditEntry:
        return replace(entry, id=await self._write(audit, asdict(entry)))

    async def audit(
        self, *, before: int | None = None, limit: int = 50, who: str | None = None, action: str | None = None
    ) -> tuple[AuditEntry, ...]:
        which = [] if who is None else [audit.c.who == who]
        if action is not None:
            which.append(named(audit.c.action, action))
        return tuple(AuditEntry(**values) for values in await self._newest(audit, before, limit, which))

    async def write_event(self, event: Event) -> Event:
        return replace(event, id=await self._write(events, asdict(event)))

    async def events(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        kind: str | None = None,
        subject: str | None = None,
    ) -> tuple[Event, ...]:
        which = [] if subject is None else [events.c.subject == subject]
        if kind is not None:
            which.append(named(events.c.kind, kind))
        return tuple(Event(**values) for values in await self._newest(events, before, limit, which))

    async def prune_records(self) -> int:
        return await self._prune(audit) + await self._prune(events)

    async def _write(self, table: Table, values: dict[str, Any]) -> int:
        del values["id"]
        async with self._database.writing(table.name) as connection:
            result = await connection.execute(insert(table).values(values).returning(table.c.id))
            return int(result.scalar_one())

    async def _newest(
        self, table: Table, before: int | None, limit: int, which: list[ColumnElement[bool]]
    ) -> list[Mapping[str, Any]]:
        if before is not None:
            which = [*which, table.c.id < before]
        query = select(table).where(*which).order_by(table.c.id.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [_mapping(row) for row in await connection.execute(query)]

    async def _prune(self, table: Table) -> int:
        oldest = self._clock.now() - timedelta(days=self._settings.keep_days)
        async with self._database.reading() as connection:
            newest = await connection.scalar(select(func.max(table.c.id)))
        too_many = table.c.id <= (newest or 0) - self._settings.keep_rows
        return await self._remove(table, table.c.at < oldest) + await self._remove(table, too_many)

    async def _remove(self, table: Table, which: ColumnElement[bool]) -> int:
        batch = select(table.c.id).where(which).limit(_BATCH)
        removed = 0
        while True:
            async with self._database.writing() as connection:
                count = (await connection.execute(delete(table).where(table.c.id.in_(batch)))).rowcount
            removed += count
            if count < _BATCH:
                return removed


def _mapping(row: Row[*tuple[Any, ...]]) -> Mapping[str, Any]:
    return {str(name): value for name, value in row._mapping.items()}  # noqa: SLF001 - public, its name avoids columns'
