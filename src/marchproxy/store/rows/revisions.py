"""Revisions as rows. Documents are compressed, then sealed, off the event loop: a large one takes tens of milliseconds."""

import asyncio
import zlib
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.revision import Author, Draft, Revision, RevisionHead, RevisionNumber, Summary
from marchproxy.store.errors import Moved
from marchproxy.store.rows.base import Rows
from marchproxy.store.store import RevisionStore
from marchproxy.store.tables import revisions

_PENDING, _COMMITTED, _ABANDONED = "pending", "committed", "abandoned"
_HEAD = tuple(column for column in revisions.c if column.name not in {"document", "state"})


class RevisionRows(Rows, RevisionStore):
    """See `RevisionStore`."""

    async def head(self) -> RevisionHead | None:
        async with self._database.reading() as connection:
            return await _head(connection)

    async def revision(self, number: RevisionNumber) -> Revision | None:
        return await self._whole(revisions.c.number == number, revisions.c.state == _COMMITTED)

    async def revisions(self, *, before: int | None = None, limit: int = 50) -> tuple[RevisionHead, ...]:
        query = select(*_HEAD).where(revisions.c.state == _COMMITTED).order_by(revisions.c.number.desc())
        if before is not None:
            query = query.where(revisions.c.number < before)
        async with self._database.reading() as connection:
            return tuple(_to_head(row) for row in await connection.execute(query.limit(limit)))

    async def begin(self, draft: Draft) -> RevisionHead:
        document = await asyncio.to_thread(self._pack, draft.document)
        try:
            async with self._database.writing("revisions") as connection:
                head = RevisionHead(
                    number=await _next_number(connection, draft.parent),
                    parent=draft.parent,
                    created_at=self._clock.now(),
                    author=draft.author,
                    reason=draft.reason,
                    checksum=draft.checksum,
                    summary=draft.summary,
                )
                await connection.execute(insert(revisions).values(**_to_row(head), document=document))
        except IntegrityError:  # another manager's, which was begun between our look and our row
            raise Moved(await self.head(), pending=True) from None
        return head

    async def pending(self) -> Revision | None:
        return await self._whole(revisions.c.state == _PENDING)

    async def commit(self, number: RevisionNumber) -> RevisionHead:
        async with self._database.writing("revisions") as connection:
            row = await _row(connection, number)
            if row is None or row.state == _ABANDONED:
                raise Refused(RefusalCode.NOT_FOUND, f"revision {number} is not pending")
            if row.state == _PENDING:
                await _set_state(connection, number, _COMMITTED)
                old = (revisions.c.state == _ABANDONED, revisions.c.number < number)
                await connection.execute(delete(revisions).where(*old))
            return _to_head(row)

    async def abandon(self, number: RevisionNumber) -> None:
        async with self._database.writing("revisions") as connection:
            row = await _row(connection, number)
            if row is not None and row.state == _COMMITTED:
                raise Refused(
                    RefusalCode.ERROR, f"revision {number} is committed; restore its parent instead"
                )
            # its number is kept until a later one is in force, so that no other gets it
            await _set_state(connection, number, _ABANDONED)

    async def _whole(self, *which: ColumnElement[bool]) -> Revision | None:
        query = select(*_HEAD, revisions.c.document).where(*which)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return Revision(_to_head(row), await asyncio.to_thread(self._unpack, row.document))

    def _pack(self, document: bytes) -> bytes:
        return self._sealer.seal(zlib.compress(document, 3))

    def _unpack(self, packed: bytes) -> bytes:
        return zlib.decompress(self._sealer.unseal(packed))


async def _head(connection: AsyncConnection) -> RevisionHead | None:
    committed = select(*_HEAD).where(revisions.c.state == _COMMITTED)
    row = (await connection.execute(committed.order_by(revisions.c.number.desc()).limit(1))).one_or_none()
    return None if row is None else _to_head(row)


async def _next_number(connection: AsyncConnection, parent: RevisionNumber | None) -> RevisionNumber:
    # in this order: whatever another manager begins from now on has the number that we shall try to take,
    # and what was begun before and is not pending can no longer become the head
    last = await connection.scalar(select(func.max(revisions.c.number))) or 0
    pending = await connection.scalar(select(revisions.c.number).where(revisions.c.state == _PENDING))
    head = await _head(connection)
    if pending is not None or (head.number if head else None) != parent:
        raise Moved(head, pending=pending is not None)
    return RevisionNumber(last + 1)


async def _row(connection: AsyncConnection, number: RevisionNumber) -> Row[*tuple[Any, ...]] | None:
    query = select(*_HEAD, revisions.c.state).where(revisions.c.number == number)
    return (await connection.execute(query.with_for_update())).one_or_none()


async def _set_state(connection: AsyncConnection, number: RevisionNumber, state: str) -> None:
    values: dict[str, object] = {"state": state}
    if state == _ABANDONED:
        values["document"] = b""
    await connection.execute(update(revisions).where(revisions.c.number == number).values(values))


def _to_row(head: RevisionHead) -> dict[str, object]:
    return {
        "number": head.number,
        "parent": head.parent,
        "state": _PENDING,
        "created_at": head.created_at,
        "author": head.author.name,
        "author_kind": head.author.kind,
        "reason": head.reason,
        "checksum": head.checksum,
        "added": head.summary.added,
        "changed": head.summary.changed,
        "removed": head.summary.removed,
    }


def _to_head(row: Row[*tuple[Any, ...]]) -> RevisionHead:
    return RevisionHead(
        number=RevisionNumber(row.number),
        parent=None if row.parent is None else RevisionNumber(row.parent),
        created_at=row.created_at,
        author=Author(row.author, row.author_kind),
        reason=row.reason,
        checksum=row.checksum,
        summary=Summary(row.added, row.changed, row.removed),
    )
