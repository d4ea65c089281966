"""Which server of a pool is asked for the secrets of users."""

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabasePool
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.postgres import auth_query
from marchproxy.modules.dblb.postgres.auth_query import AuthQueries, CannotAsk
from marchproxy.modules.dblb.postgres.inquiry import Inquiry, Row

A, B, C = (HostPort("127.0.0.1", port) for port in (1, 2, 3))
POOL = BackendPool(
    PoolName("p"), protocol=Protocol.POSTGRES, endpoints=tuple(Endpoint(str(one)) for one in (A, B, C))
)
UPSTREAM = Upstream(POOL, DatabasePool(monitor="watcher"))
WAY = Authentication("users", AuthenticationKind.AUTH_QUERY, query="select user, secret of $1", pool="p")


class Session(Inquiry):
    """Tells which server it is on instead of a secret."""

    def __init__(self, address: HostPort) -> None:
        super().__init__()
        self.address = address
        self.ended = False

    @property
    def open(self) -> bool:
        return not self.ended

    async def ask(self, query: str) -> list[Row]:
        return [("ann", str(self.address))] if query.startswith("select") else []

    def end(self) -> None:
        self.ended = True


class World:
    def __init__(self) -> None:
        self.primary: HostPort | None = None
        self.down: set[HostPort] = set()
        self.queries = AuthQueries(VirtualClock(), lambda pool: self.primary if pool == "p" else None)

    async def opened(self, address: HostPort, *_: object) -> Inquiry:
        if address in self.down:
            raise ConnectionRefusedError("refused")
        return Session(address)

    async def asked(self) -> HostPort:
        self.queries.forget()
        return HostPort.parse(await self.queries.secret(WAY, UPSTREAM, "ann") or "")


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr(auth_query, "open_inquiry", world.opened)
    return world


@pytest.mark.parametrize(
    ("primary", "down", "asked"),
    [
        (None, {}, A),
        (None, {A}, B),
        (C, {}, C),
        (C, {C}, A),
        (B, {A, B}, C),
    ],
)
async def test_who_is_asked(world, primary, down, asked):
    world.primary, world.down = primary, set(down)
    assert await world.asked() == asked


async def test_another_primary_is_asked_from_then_on(world):
    for primary in (A, B, A):
        world.primary = primary
        assert await world.asked() == primary


async def test_nobody_answers(world):
    world.down = {A, B, C}
    with pytest.raises(CannotAsk, match="refused"):
        await world.asked()
