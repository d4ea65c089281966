"""A MariaDB primary and a replica that follows it by GTID: processes of a test's own, which it may kill and hold up."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pymysql

from bench.support.unprivileged import server_folder, unprivileged
from tests.real.support.databases import mariadb_data, run
from tests.real.support.server import Server

_SETTINGS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=8M",
    "--innodb-flush-log-at-trx-commit=2",
    "--max-connections=300",
    "--log-bin=log",
    "--log-slave-updates",
    "--gtid-strict-mode",
)


class MariaServer(Server):
    """`root` has no password."""

    def __init__(self, number: int, folder: Path, settings: Sequence[str]) -> None:
        super().__init__(f"maria{number}", folder)
        self._settings = (*_SETTINGS, f"--server-id={number}", *settings)

    async def start(self, *more: str) -> None:
        """Until it answers."""
        options = (
            f"--datadir={self.data}",
            f"--socket={self.folder / self.name}.sock",
            f"--pid-file={self.folder / self.name}.pid",
            f"--port={self.port}",
            *self._settings,
            *more,
        )
        await self._run(("mariadbd", "--no-defaults", *options), pymysql.err.OperationalError)

    async def crash(self) -> None:
        """SIGKILL."""
        await self._crash(signal.SIGKILL)

    async def ask(self, statement: str) -> tuple:
        """The rows of a statement, over a connection of root's own that goes past every proxy."""
        return await asyncio.to_thread(self._ask, statement)

    def _ask(self, statement: str) -> tuple:
        where = {"host": "127.0.0.1", "port": self.port, "user": "root", "autocommit": True}
        with pymysql.connect(**where, read_timeout=20) as connection, connection.cursor() as cursor:  # type: ignore[arg-type]
            cursor.execute(statement)
            return tuple(cursor.fetchall())

    async def follow(self, primary: "MariaServer") -> None:
        """Replicate from another server from now on, and take no writes."""
        await self.ask("set global read_only = on")
        await self.ask("stop slave")
        await self.ask("set global gtid_slave_pos = @@gtid_current_pos")  # it may have been a primary itself
        await self.ask(
            f"change master to master_host = '127.0.0.1', master_port = {primary.port}, master_user = 'root', "
            "master_use_gtid = slave_pos, master_connect_retry = 1"
        )
        await self.ask("start slave")

    async def promote(self) -> None:
        """Follow nobody any more, and take writes."""
        await self.ask("stop slave")
        await self.ask("reset slave all")
        await self.ask("set global read_only = off")

    async def pause_replay(self) -> None:
        """Until nothing that arrives is applied any more: what it answers grows old."""
        await self.ask("stop slave sql_thread")

    async def resume_replay(self) -> None:
        await self.ask("start slave sql_thread")


class MariaPair:
    """`primary` and `replica` as they were in the beginning."""

    def __init__(self, primary: MariaServer, replica: MariaServer) -> None:
        self.primary = primary
        self.replica = replica

    async def caught_up(self) -> None:
        """Until the replica has applied what the primary has written so far."""
        ((position,),) = await self.primary.ask("select @@gtid_binlog_pos")
        await self.replica.until(f"select master_gtid_wait('{position}', 20)", lambda waited: waited == 0)


@asynccontextmanager
async def mariadb_pair(*settings: str, init: Sequence[str] = ()) -> AsyncIterator[MariaPair]:
    """A primary with these settings, on which `init` was run, and a replica that has it all; `app` has no password."""
    with server_folder() as folder:
        primary, replica = (MariaServer(number, folder, settings) for number in (1, 2))
        await mariadb_data(primary.data)
        await asyncio.to_thread(shutil.copytree, primary.data, replica.data)
        if unprivileged():
            await run("chown", "-R", f"--reference={primary.data}", str(replica.data))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(primary.start())
                group.create_task(replica.start())
            pair = MariaPair(primary, replica)
            for statement in ("create user app@'127.0.0.1'", *init):
                await primary.ask(statement)
            await replica.follow(primary)
            await pair.caught_up()
            yield pair
        finally:
            for server in (primary, replica):
                await server.end()
