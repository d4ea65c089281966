"""What the tests of DBLB under torture share: clients, and ways to end them."""

import socket
from typing import Any

import psycopg

from tests.real.dblb_rig import PASSWORD


async def connect(port: int, database: str = "app") -> psycopg.AsyncConnection:
    where = f"host=127.0.0.1 port={port} user=app password={PASSWORD} dbname={database} sslmode=disable"
    return await psycopg.AsyncConnection.connect(where, autocommit=True, connect_timeout=60)


async def value(connection: psycopg.AsyncConnection, query: str, *values: object) -> Any:
    row = await (await connection.execute(query, values)).fetchone()
    assert row is not None
    return row[0]


def cut(connection: psycopg.AsyncConnection) -> None:
    """As a client that was killed: its connection ends, and it says no goodbye."""
    with socket.socket(fileno=socket.dup(connection.fileno())) as there:  # libpq closes its own
        there.shutdown(socket.SHUT_RDWR)
