"""Writes that move from one MariaDB to another, which replicates it by GTID, under writing clients."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pymysql

from marchproxy.contract.pb import module_pb2
from tests.ports import free_port
from tests.real.support.dblb import Databases, databases
from tests.real.support.mariadb_pair import MariaPair, mariadb_pair

CLIENTS = 4  # threads: asyncio has a few more than there are processors
_INIT = (
    "create database app",
    "grant all on *.* to app@'127.0.0.1'",
    # says on which server a row was written first: what is replicated brings its value along
    "create table app.written (client int, number int, port int, primary key (client, number))",
)


class Writers:
    """Clients that write as fast as they can, two rows in a transaction; nothing that fails is tried again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.written: list[list[tuple[int, int]]] = [[] for _ in range(CLIENTS)]

    def write(self, client: int) -> None:
        written = self.written[client]
        where: dict[str, Any] = {"host": "127.0.0.1", "port": self._port, "user": "app", "database": "app"}
        with pymysql.connect(**where, read_timeout=30) as connection:
            while not self._stop.is_set():
                pair = [(client, len(written)), (client, len(written) + 1)]
                connection.begin()
                for row in pair:
                    connection.query(f"insert into written values ({row[0]}, {row[1]}, @@port)")
                connection.commit()
                written.extend(pair)

    async def more(self, each: int = 10) -> None:
        """Until every client has written so many rows more."""
        goals = [len(written) + each for written in self.written]
        async with asyncio.timeout(30):
            while any(len(written) < goal for written, goal in zip(self.written, goals, strict=True)):
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        self._stop.set()


def document(pair: MariaPair, folder: Path) -> dict[str, Any]:
    users = folder / "users.txt"
    users.write_text('"app" ""\n')
    pool = {"protocol": "mysql", "database": {"users": str(users), "monitor": "app", "wait": 20}}
    return {
        "pools": [
            {"name": "blue", "endpoints": [pair.primary.address], **pool},
            {"name": "green", "endpoints": [pair.replica.address], **pool},
        ],
        "routes": [
            {
                "id": "app",
                "protocol": "mysql",
                "module": "dblb",
                "backends": [{"pool": "blue", "weight": 100}, {"pool": "green", "weight": 0}],
                "database": {"writes": "blue", "switch_timeout": 2},
            }
        ],
    }


async def reload(system: Databases, writes: str) -> module_pb2.ReloadResponse:
    system.document["routes"][0]["database"]["writes"] = writes
    system.save()
    async with system.asked() as module:
        return await module.Reload(module_pb2.ReloadRequest())


async def test_writes_stay_until_the_other_server_has_them_all(tmp_path: Path) -> None:
    port = free_port()
    async with mariadb_pair("--binlog-format=row", init=_INIT) as pair:
        blue, green = pair.primary, pair.replica
        await green.ask("set global read_only = off")
        async with databases(tmp_path, document(pair, tmp_path), mysql=f"127.0.0.1:{port}") as system:
            writers = Writers(port)
            async with asyncio.TaskGroup() as group:
                for client in range(CLIENTS):
                    group.create_task(asyncio.to_thread(writers.write, client))
                try:
                    await writers.more()
                    await _moves_when_green_is_there(system, writers, pair)
                finally:
                    writers.stop()
        rows = {
            (client, number): port for client, number, port in await green.ask("select * from app.written")
        }
        assert rows.keys() == {row for written in writers.written for row in written}
        assert {port for (port,) in await blue.ask("select distinct port from app.written")} == {blue.port}
        for client in range(CLIENTS):
            ports = [rows[row] for row in sorted(rows) if row[0] == client]
            moved = ports.count(blue.port)
            assert ports == [blue.port] * moved + [green.port] * (len(ports) - moved)
            assert 0 < moved < len(ports)


async def _moves_when_green_is_there(system: Databases, writers: Writers, pair: MariaPair) -> None:
    green = pair.replica
    await green.ask("stop slave")
    answer = await reload(system, "green")
    assert "the primary of the pool green does not replicate" in answer.message, answer
    await writers.more()
    await green.ask("start slave")
    async with asyncio.timeout(30):
        while not (answer := await reload(system, "green")).success:  # its threads may not have begun yet
            assert "the writes of route app stay on blue" in answer.message, answer
            await writers.more()
    await writers.more()
