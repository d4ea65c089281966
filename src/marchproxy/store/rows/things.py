"""Certificates, rollouts under way and other named things as rows."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from marchproxy.model.record import StartedRollout, StoredCertificate
from marchproxy.store.rows.base import Rows, found
from marchproxy.store.store import ThingStore
from marchproxy.store.tables import certificates, meta, started_rollouts


class ThingRows(Rows, ThingStore):
    """See `ThingStore`."""

    async def put_certificate(self, certificate: StoredCertificate) -> None:
        values = asdict(certificate)
        values["uploaded_by"] = values.pop("by")
        values["key_pem"] = self._sealer.seal(certificate.key_pem)
        await self._put(certificates, values, topic="certificates")

    async def certificate(self, name: str) -> StoredCertificate | None:
        async with self._database.reading() as connection:
            query = select(certificates).where(certificates.c.name == name)
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else self._to_certificate(row)

    async def certificates(self) -> tuple[StoredCertificate, ...]:
        async with self._database.reading() as connection:
            rows = await connection.execute(select(certificates).order_by(certificates.c.name))
        return tuple(self._to_certificate(row) for row in rows)

    async def remove_certificate(self, name: str) -> None:
        async with self._database.writing("certificates") as connection:
            result = await connection.execute(delete(certificates).where(certificates.c.name == name))
            found(result, f"certificate {name}")

    async def put_started_rollout(self, rollout: StartedRollout) -> None:
        await self._put(started_rollouts, asdict(rollout), topic="rollouts")

    async def started_rollouts(self) -> tuple[StartedRollout, ...]:
        query = select(started_rollouts).order_by(started_rollouts.c.started_at, started_rollouts.c.id)
        async with self._database.reading() as connection:
            return tuple(StartedRollout(*row) for row in await connection.execute(query))

    async def remove_started_rollout(self, rollout_id: str) -> None:
        async with self._database.writing("rollouts") as connection:
            await connection.execute(delete(started_rollouts).where(started_rollouts.c.id == rollout_id))

    async def meta(self, name: str) -> str | None:
        async with self._database.reading() as connection:
            return await connection.scalar(select(meta.c.value).where(meta.c.name == name))

    async def set_meta(self, name: str, value: str) -> None:
        await self._put(meta, {"name": name, "value": value}, topic="meta")

    async def _put(self, table: Table, values: dict[str, Any], *, topic: str) -> None:
        async with self._database.writing(topic) as connection:
            await connection.execute(_upsert(connection.dialect.name, table, values))

    def _to_certificate(self, row: Row[*tuple[Any, ...]]) -> StoredCertificate:
        return StoredCertificate(
            name=row.name,
            chain_pem=row.chain_pem,
            key_pem=self._sealer.unseal(row.key_pem),
            created_at=row.created_at,
            by=row.uploaded_by,
        )


def _upsert(dialect: str, table: Table, values: dict[str, Any]) -> Insert:
    # both say ON CONFLICT … DO UPDATE, but SQLAlchemy has it once for each
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return (
        make(table).values(values).on_conflict_do_update(index_elements=list(table.primary_key), set_=values)
    )
