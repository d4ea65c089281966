"""A PostgreSQL primary and its streaming replicas: processes of a test's own, which it may kill, pause and promote."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import psycopg

from bench.support.unprivileged import postgres_programs, server_folder, unprivileged
from tests.real.support.databases import run
from tests.real.support.server import WITHIN_SECONDS, Server

#: What every server of a cluster is set to, but for what its test says.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "127.0.0.1",
        "fsync": "off",
        "full_page_writes": "off",
        "shared_buffers": "16MB",
        "max_connections": "300",
        "wal_keep_size": "64MB",
        "wal_retrieve_retry_interval": "100ms",
        "hot_standby_feedback": "on",
        "wal_receiver_status_interval": "1s",
    }
)


class Node(Server):
    """User and database are `app`."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str]) -> None:
        super().__init__(name, folder)
        self._settings = settings

    def dsn(self, **more: str) -> str:
        """For psycopg; user and database are `app`."""
        where = {"host": "127.0.0.1", "port": str(self.port), "user": "app", "dbname": "app", **more}
        return " ".join(f"{key}={value}" for key, value in where.items())

    async def start(self) -> None:
        """Until it answers."""
        settings = {**self._settings, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        command = (str(postgres_programs() / "postgres"), "-D", str(self.data), *options)
        await self._run(command, psycopg.OperationalError)

    async def stop(self) -> None:
        """SIGINT: it throws its clients out, writes what it has, and ends."""
        if self._process is not None and self._process.running:
            self._process.send(signal.SIGINT)
            await self._process.ended(WITHIN_SECONDS)

    async def end(self) -> None:
        """Stop it if it runs; pytest shows what it wrote when the test failed."""
        await self.stop()
        await super().end()

    async def crash(self) -> None:
        """SIGQUIT: it ends at once, sessions and all, and writes nothing any more; as after a power cut."""
        await self._crash(signal.SIGQUIT)

    async def ask(self, statement: str) -> list[tuple]:
        """The rows of a statement, over a connection of its own that goes past every proxy; none where it has none."""
        async with await psycopg.AsyncConnection.connect(self.dsn(), autocommit=True) as connection:
            cursor = await connection.execute(statement)  # type: ignore[call-overload]
            return await cursor.fetchall() if cursor.description else []

    async def promote(self) -> None:
        """Until it takes writes."""
        await self.ask("select pg_promote()")
        await self.until("select not pg_is_in_recovery()")

    async def pause_replay(self) -> None:
        """Until nothing that arrives is applied any more: what it answers grows old."""
        await self.ask("select pg_wal_replay_pause()")
        await self.until("select pg_get_wal_replay_pause_state() = 'paused'")

    async def resume_replay(self) -> None:
        await self.ask("select pg_wal_replay_resume()")

    async def follow(self, primary: "Node") -> None:
        """Stream from another server from now on."""
        await self.ask(f"alter system set primary_conninfo = '{primary.dsn(application_name=self.name)}'")
        await self.ask("select pg_reload_conf()")
        await primary.until(
            f"select count(*) from pg_stat_replication where application_name = '{self.name}'"
        )


class Cluster:
    """`primary` and `replicas` as they were in the beginning."""

    def __init__(self, primary: Node, replicas: tuple[Node, ...]) -> None:
        self.primary = primary
        self.replicas = replicas

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.primary, *self.replicas)

    async def caught_up(self) -> None:
        """Until every replica has applied what the primary has written so far."""
        ((lsn,),) = await self.primary.ask("select pg_current_wal_insert_lsn()::text")
        for replica in self.replicas:
            await replica.until(f"select coalesce(pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn, false)")


@asynccontextmanager
async def postgres_cluster(replicas: int = 2, **settings: str) -> AsyncIterator[Cluster]:
    """A primary and so many replicas that stream from it, with these settings; user and database are `app`."""
    names = ("primary", *(f"replica{number}" for number in range(1, replicas + 1)))
    with server_folder() as folder:
        cluster = [Node(name, folder, {**SETTINGS, **settings}) for name in names]
        primary, *followers = cluster
        await _create(primary.data)
        for node in followers:
            await _copy(primary, node)
        try:
            async with asyncio.TaskGroup() as group:
                for node in cluster:
                    group.create_task(node.start())
            await primary.until(
                "select count(*) from pg_stat_replication where state = 'streaming'",
                lambda count: count == replicas,
            )
            yield Cluster(primary, tuple(followers))
        finally:
            for node in cluster:
                await node.end()


async def _create(data: Path) -> None:
    options = ("-U", "app", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
    await run(*unprivileged(), str(postgres_programs() / "initdb"), "-D", str(data), *options)
    single = (*unprivileged(), str(postgres_programs() / "postgres"), "--single", "-F", "-D", str(data))
    await run(*single, "postgres", stdin=b"create database app\n")


async def _copy(primary: Node, replica: Node) -> None:
    """What was shut down in order may be copied as it lies; the replica goes on from there with what it streams."""
    await asyncio.to_thread(shutil.copytree, primary.data, replica.data)
    (replica.data / "standby.signal").touch()
    name = primary.dsn(application_name=replica.name)
    (replica.data / "postgresql.auto.conf").write_text(f"primary_conninfo = '{name}'\n")
    if unprivileged():
        await run("chown", "-R", f"--reference={primary.data}", str(replica.data))
