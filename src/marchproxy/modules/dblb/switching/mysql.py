"""Whether one MariaDB or MySQL pool has what another wrote, by replication with GTIDs: the new one's primary is a replica of the
old one's, and takes writes.

https://mariadb.com/kb/en/gtid/ and https://dev.mysql.com/doc/refman/8.4/en/replication-gtids.html
"""

from dataclasses import dataclass

from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.mysql.asking import ask
from marchproxy.modules.dblb.mysql.cluster import monitor_of
from marchproxy.modules.dblb.mysql.dialling import NOBODY, Server, dial
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.login import LoginRefused
from marchproxy.modules.dblb.mysql.sight import is_mariadb, status_statement
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.serverside import addresses_of
from marchproxy.modules.dblb.switching.following import NotKnown
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.results import Refused, Row

_FAULTS = (LoginRefused, ProtocolFault, PeerGone, Refused, OSError)
_WRITABLE = "select @@global.read_only as ro"
_THREADS = ("_io_running", "_sql_running")
_ERRORS = ("last_io_error", "last_sql_error")


@dataclass(frozen=True, slots=True)
class _Words:
    """What one of the two databases is asked. `reached` takes the position."""

    position: str
    reached: str
    here: str


_MARIADB = _Words(
    "select @@global.gtid_binlog_pos as mark",
    "select master_gtid_wait('{mark}', 0.01) = 0 as reached",
    "select @@global.gtid_slave_pos as mark",
)
_MYSQL = _Words(
    "select @@global.gtid_executed as mark",
    "select gtid_subset('{mark}', @@global.gtid_executed) as reached",
    "select @@global.gtid_executed as mark",
)


class GtidReplication:
    """The old pool's primary is the source of the new one's."""

    def __init__(self, old: Upstream, new: Upstream) -> None:
        self._old, self._new = old, new
        self._links: dict[str, Link] = {}

    async def check(self) -> None:
        """Raises NotKnown where the new primary replicates nobody, or the old one counts no GTIDs."""
        link = await self._primary(self._new)
        rows = await self._ask(self._new, status_statement(_version(link)).decode())
        threads = [value for row in rows for name, value in row.items() if name.endswith(_THREADS)]
        if not threads or b"No" in threads:
            said = [
                text.decode("utf-8", "replace") for row in rows for name in _ERRORS if (text := row.get(name))
            ]
            why = f" ({'; '.join(said)})" if said else ""
            raise NotKnown(f"the primary of the pool {self._new.name} does not replicate{why}")
        await self.mark()

    async def mark(self) -> str:
        """A set of GTIDs."""
        words = await self._words(self._old)
        mark = _text((await self._ask(self._old, words.position))[0]["mark"])
        if not mark:
            raise NotKnown(f"the primary of the pool {self._old.name} has no GTIDs; switch its binary log on")
        return mark

    async def behind(self, mark: str) -> str:
        """Where the new primary is, when that is not as far as the mark."""
        words = await self._words(self._new)
        if (await self._ask(self._new, words.reached.format(mark=mark)))[0]["reached"] == b"1":
            return ""
        here = _text((await self._ask(self._new, words.here))[0]["mark"])
        return f"it is at {here or 'nothing'}, the pool {self._old.name} is at {mark}"

    def close(self) -> None:
        """End both sessions."""
        for link in self._links.values():
            link.end()
        self._links.clear()

    async def _words(self, upstream: Upstream) -> _Words:
        return _MARIADB if is_mariadb(_version(await self._primary(upstream))) else _MYSQL

    async def _ask(self, upstream: Upstream, query: str) -> list[Row]:
        link = await self._primary(upstream)
        try:
            return list(await ask(link, query.encode()))
        except _FAULTS as error:
            link.end()
            raise NotKnown(f"the primary of the pool {upstream.name} cannot be asked: {error}") from error

    async def _primary(self, upstream: Upstream) -> Link:
        known = self._links.get(upstream.name)
        if known is None or known.transport.is_closing():
            known = self._links[upstream.name] = await _find(upstream)
        return known


async def _find(upstream: Upstream) -> Link:
    """A session on the server that takes writes. Raises NotKnown."""
    credentials = monitor_of(upstream)
    if credentials is None:
        raise NotKnown(
            f"the pool {upstream.name} has no database.monitor, as whom its servers could be asked"
        )
    faults: list[str] = []
    for address in addresses_of(upstream.pool):
        link: Link | None = None
        try:
            link = await dial(NOBODY, Server(address, upstream.pool.tls), credentials, now=0.0)
            if (await ask(link, _WRITABLE.encode()))[0]["ro"] == b"0":
                return link
            faults.append(f"{address} takes no writes")
        except _FAULTS as error:
            faults.append(f"{address}: {error}")
        if link is not None:
            link.end()
    raise NotKnown(f"the pool {upstream.name} has no primary: {'; '.join(faults) or 'it has no servers'}")


def _version(link: Link) -> str:
    assert link.greeting is not None
    return link.greeting.version


def _text(value: bytes | None) -> str:
    return "".join((value or b"").decode("ascii", "replace").split())
