"""Whether one PostgreSQL pool has what another wrote, by logical replication: a subscription of the new one to the old one.

The old primary keeps a slot for each subscription, and in it how far the subscriber has confirmed to have everything on disk.
Sequences are not replicated; that is for whoever sets up the new pool.
https://www.postgresql.org/docs/current/logical-replication.html
"""

from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.postgres.inquiry import FAULTS, Inquiry, Row, open_inquiry
from marchproxy.modules.dblb.postgres.login import Credentials
from marchproxy.modules.dblb.serverside import addresses_of
from marchproxy.modules.dblb.switching.following import NotKnown

_WRITABLE = "select not pg_is_in_recovery()"
_SLOTS = "select subslotname from pg_subscription where subenabled and subslotname is not null"
#: A commit of its own, which the server has on disk when it answers, and all before it too.
_FLUSH = "select pg_logical_emit_message(true, 'marchproxy', 'writes are switched')"
_POSITION = "select pg_current_wal_lsn()"
_CONFIRMED = (
    "select slot_name, active, coalesce(confirmed_flush_lsn >= {mark}, false), confirmed_flush_lsn"
    " from pg_replication_slots where slot_type = 'logical' and slot_name in ({slots})"
    " union all select slot_name, active, false, null from pg_replication_slots where slot_name ~ '^pg_\\d+_sync_\\d+_'"
)


class LogicalReplication:
    """The old pool's primary is the publisher of the new one's."""

    def __init__(self, old: Upstream, new: Upstream) -> None:
        self._old, self._new = old, new
        self._sessions: dict[str, Inquiry] = {}

    async def check(self) -> None:
        """Raises NotKnown without an enabled subscription of the new primary that has a slot on the old one."""
        await self._confirmed(await self._slots(), "pg_current_wal_lsn()")

    async def mark(self) -> str:
        """An LSN."""
        await self._ask(self._old, _FLUSH)
        return str((await self._ask(self._old, _POSITION))[0][0])

    async def behind(self, mark: str) -> str:
        """The slots that are not confirmed as far as the mark, and tables that are still copied."""
        rows = await self._confirmed(await self._slots(), f"{_literal(mark)}::pg_lsn")
        missing = [
            f"slot {name} is at {position}{'' if active == 't' else ' and nobody reads it'}"
            if position
            else f"slot {name} of a table's first copy is still there"
            for name, active, reached, position in rows
            if reached != "t"
        ]
        return f"{', '.join(missing)}, the pool {self._old.name} is at {mark}" if missing else ""

    def close(self) -> None:
        """End both sessions."""
        for session in self._sessions.values():
            session.end()
        self._sessions.clear()

    async def _slots(self) -> list[str]:
        rows = await self._ask(self._new, _SLOTS)
        if not rows:
            raise NotKnown(
                f"the primary of the pool {self._new.name} has no enabled subscription; subscribe it to {self._old.name}"
            )
        return [str(row[0]) for row in rows]

    async def _confirmed(self, slots: list[str], mark: str) -> list[Row]:
        query = _CONFIRMED.format(mark=mark, slots=", ".join(map(_literal, slots)))
        rows = await self._ask(self._old, query)
        unknown = set(slots) - {row[0] for row in rows}
        if len(unknown) == len(slots):
            raise NotKnown(
                f"the primary of the pool {self._old.name} has none of the slots {', '.join(sorted(slots))}, "
                f"to which {self._new.name} is subscribed"
            )
        return rows

    async def _ask(self, upstream: Upstream, query: str) -> list[Row]:
        session = self._sessions.get(upstream.name)
        try:
            if session is None or not session.open:
                session = self._sessions[upstream.name] = await _primary(upstream)
            return await session.ask(query)
        except FAULTS as error:
            raise NotKnown(f"the primary of the pool {upstream.name} cannot be asked: {error}") from error


async def _primary(upstream: Upstream) -> Inquiry:
    """A session on the one server that takes writes. Raises FAULTS, NotKnown."""
    options = upstream.options
    if not options.monitor:
        raise NotKnown(
            f"the pool {upstream.name} has no database.monitor, as whom its servers could be asked"
        )
    password = upstream.passwords.get(options.monitor, "")
    credentials = Credentials(options.monitor, options.monitor_database, password)
    faults: list[str] = []
    for address in addresses_of(upstream.pool):
        session = await _open(address, upstream, credentials, faults)
        if session is not None:
            return session
    raise NotKnown(f"the pool {upstream.name} has no primary: {'; '.join(faults) or 'it has no servers'}")


async def _open(
    address: HostPort, upstream: Upstream, credentials: Credentials, faults: list[str]
) -> Inquiry | None:
    session: Inquiry | None = None
    try:
        session = await open_inquiry(address, credentials, upstream.pool.tls)
        if (await session.ask(_WRITABLE))[0][0] == "t":
            return session
        faults.append(f"{address} is a replica")
    except FAULTS as error:
        faults.append(f"{address}: {error}")
    if session is not None:
        session.end()
    return None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
