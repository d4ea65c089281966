"""Clients that connect and say nothing: each has its time, and beyond so many the oldest goes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.gate import OpenGate
from marchproxy.modules.dblb.mysql import service as mysql
from marchproxy.modules.dblb.mysql.service import MySqlService
from marchproxy.modules.dblb.postgres import reception as postgres
from marchproxy.modules.dblb.postgres.service import PostgresService
from marchproxy.modules.dblb.redis import service as redis
from marchproxy.modules.dblb.redis.service import RedisService
from marchproxy.modules.dblb.service import DatabaseService, Surroundings
from marchproxy.modules.dblb.tally import Tallies
from marchproxy.modules.reception.client import Arrival


class Wire(asyncio.Transport):
    """A client's connection, of which it is known what was said and whether it was closed."""

    def __init__(self, service: DatabaseService) -> None:
        super().__init__()
        self.said, self.ended = b"", False
        self.protocol: Any = service.accept(Arrival(HostPort("10.0.0.1", 1), 1))
        self.protocol.connection_made(self)

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.said += data

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = close


@pytest.mark.parametrize(
    ("make", "module", "words"),
    [
        (PostgresService, postgres, b"53300"),
        (MySqlService, mysql, b"#08004"),
        (RedisService, redis, b"-ERR"),
    ],
)
async def test_for_one_more_the_oldest_goes(
    make: Callable[[Surroundings], DatabaseService], module: object, words: bytes, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "MOST_NEWCOMERS", 2)
    async with asyncio.TaskGroup() as group:
        service = make(Surroundings(group, VirtualClock(), Tallies(), OpenGate()))
        clients = [Wire(service) for _ in range(2)]
        clients[0].protocol.connection_lost(None)  # and counts no more
        clients += [Wire(service) for _ in range(3)]
        assert [client.ended for client in clients[1:]] == [True, True, False, False]
        for client in clients[1:3]:
            assert words in client.said
            assert b"too many clients are logging in" in client.said
        for client in clients[1:]:
            client.protocol.connection_lost(None)
        assert service.clients() == 0
        service.close()
