"""Databases of a test's own: each in its own folder, on a port of its own, ended with the block that started it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from bench.support.unprivileged import postgres_programs, server_folder, unprivileged
from tests.ports import free_port
from tests.real.support.process import Started, start

_READY_SECONDS = 30.0


@asynccontextmanager
async def postgres() -> AsyncIterator[int]:
    """PostgreSQL; its port. User and database are `app`, without a password."""
    programs = postgres_programs()
    with server_folder() as folder:
        data = folder / "data"
        options = ("-U", "app", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
        await run(*unprivileged(), str(programs / "initdb"), "-D", str(data), *options)
        port = free_port()
        options = ("-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F")  # -F: no fsync
        async with served(
            (*unprivileged(), str(programs / "postgres"), "-D", str(data), *options), folder, port
        ):
            await _until_ready(
                str(programs / "pg_isready"), "-q", "-U", "app", "-h", "127.0.0.1", "-p", str(port)
            )
            await run("psql", *psql_options(port), "-d", "postgres", "-c", "create database app")
            yield port


def psql_options(port: int) -> tuple[str, ...]:
    """psql as `app`, one bare value for an answer; it asks for TLS first, as it does by default."""
    return ("-X", "-At", "-h", "127.0.0.1", "-p", str(port), "-U", "app")


@asynccontextmanager
async def mariadb(*more: str, init: Sequence[str] = ()) -> AsyncIterator[int]:
    """MariaDB with `more` options; its port. User is `app`, without a password; `init` are statements run first."""
    with server_folder() as folder:
        data = folder / "data"
        await mariadb_data(data)
        port = free_port()
        (folder / "init.sql").write_text("\n".join(["create user app@'127.0.0.1';", *init, ""]))
        options = (
            f"--datadir={data}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--init-file={folder / 'init.sql'}",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=8M",
            "--skip-log-bin",
            *more,
        )
        async with served((*unprivileged(), "mariadbd", "--no-defaults", *options), folder, port):
            yield port


async def mariadb_data(folder: Path) -> None:
    """Make the folder of a MariaDB that knows only `root`, without a password."""
    options = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
    command = ("mariadb-install-db", "--no-defaults", f"--datadir={folder}", "--force", *options)
    # its temporary tables are called by its pid, and in /tmp they would stand beside those of others
    await run("env", f"TMPDIR={folder.parent}", *unprivileged(), *command)


@asynccontextmanager
async def redis() -> AsyncIterator[int]:
    """Redis, in memory alone; its port."""
    with server_folder() as folder:
        port = free_port()
        options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
        async with served((*unprivileged(), "redis-server", *options), folder, port):
            yield port


@asynccontextmanager
async def mongodb() -> AsyncIterator[int]:
    """A server that speaks MongoDB's protocol (nx-27017), in memory alone; its port."""
    with server_folder() as folder:
        port = free_port()
        options = (
            *("--db", "memory", "--host", "127.0.0.1", "--port", str(port)),
            *("--log-file", str(folder / "nx.log"), "--pid-file", str(folder / "pid")),
        )
        command = str(Path(sys.executable).with_name("nx-27017"))
        async with served((sys.executable, command, *options), folder, port):
            yield port


@asynccontextmanager
async def served(
    command: Sequence[str], folder: Path, port: int, *, within: float = _READY_SECONDS
) -> AsyncIterator[Started]:
    """A server process for the length of the block, which begins when it listens on the port. Raises TimeoutError."""
    process = await start(command, folder / "log")
    try:
        async with asyncio.timeout(within):
            while not _listens(process, port):
                assert process.running, process.log.read_text()
                await asyncio.sleep(0.02)
        yield process
    finally:
        await process.end()


async def run(*command: str, stdin: bytes = b"", within: float = 30.0) -> str:
    """Run a command to its end; what it wrote on stdout. Fails with both outputs when it exits with an error."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        raise AssertionError(f"no end within {within} s: {command}") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command}:\n{out.decode()}\n{err.decode()}"
    return out.decode()


async def _until_ready(*command: str) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            process = await asyncio.create_subprocess_exec(*command)
            if await process.wait() == 0:
                return
            await asyncio.sleep(0.05)


def _listens(process: Started, port: int) -> bool:
    """Whether it listens there; told without a connection, since some servers take just one."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        sockets = [socket for member in family for socket in member.net_connections("tcp")]
    except psutil.NoSuchProcess:
        return False
    return any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets)
