"""The servers behind the benchmarks of databases, each in a folder of its own, without fsync, ended with the block."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.support.dblb import listening, wait_until
from bench.support.ports import free_ports
from bench.support.processes import child, python
from bench.support.unprivileged import postgres_programs, server_folder, unprivileged

#: Of MariaDB's user: DBLB takes no users of MySQL that prove nothing.
PASSWORD = "secret"


@contextmanager
def postgres(directory: Path) -> Iterator[int]:
    """PostgreSQL with pgbench's tables; its port. User and database are `app`, without a password. Raises NotReady."""
    programs = postgres_programs()
    with server_folder() as folder:
        data = folder / "data"
        options = ["-U", "app", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale"]
        _run(*unprivileged(), programs / "initdb", "-D", data, *options)
        (port,) = free_ports(1)
        settings = ["max_connections=1200", "shared_buffers=64MB", "fsync=off", "autovacuum=off"]
        command: list[str | Path] = [
            *unprivileged(),
            programs / "postgres",
            "-D",
            data,
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        command += ["-k", folder, *(word for setting in settings for word in ("-c", setting))]
        asking: list[str | Path] = [
            programs / "pg_isready",
            "-q",
            "-U",
            "app",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        with child("postgres", command, directory) as process:
            wait_until(
                lambda: subprocess.run(asking, check=False).returncode == 0,
                process,
                directory / "postgres.log",
            )
            where = ["-h", "127.0.0.1", "-p", str(port), "-U", "app"]
            _run(programs / "createdb", *where, "app")
            _run(programs / "pgbench", "-i", "-q", "-s", "2", *where, "app")
            yield port


@contextmanager
def mariadb(directory: Path) -> Iterator[int]:
    """MariaDB with a table of 10,000 rows; its port. User `app`, whose password is PASSWORD. Raises NotReady."""
    with server_folder() as folder:
        data, (port,) = folder / "data", free_ports(1)
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        _run(*unprivileged(), "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--force", *options)
        init = folder / "init.sql"
        init.write_text(
            f"create user app@'127.0.0.1' identified by '{PASSWORD}';\n"
            "create database app;\ngrant all on *.* to app@'127.0.0.1';\n"
        )
        options = [f"--datadir={data}", f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"]
        options += [
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--init-file={init}",
            "--skip-name-resolve",
        ]
        options += ["--max-connections=500", "--skip-log-bin"]
        with listening("mariadb", [*unprivileged(), "mariadbd", "--no-defaults", *options], port, directory):
            yield port


@contextmanager
def redis(directory: Path) -> Iterator[int]:
    """Redis in memory; its port. Raises NotReady."""
    (port,) = free_ports(1)
    command: list[str | Path] = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with listening("redis", command, port, directory):
        yield port


@contextmanager
def mongo(directory: Path) -> Iterator[int]:
    """A server that speaks MongoDB's protocol and answers ping at once; its port. Raises NotReady."""
    (port,) = free_ports(1)
    with listening("mongo", python("bench.support.mongo_words", "serve", str(port)), port, directory):
        yield port


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
