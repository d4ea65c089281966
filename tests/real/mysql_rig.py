"""A port of ours before MariaDBs, and clients of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pymysql

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabasePool, DatabaseRoute
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint, UpstreamTls
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.dblb.gate import Gate, OpenGate
from marchproxy.modules.dblb.mysql.service import MySqlService
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Upstream, Way
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tallies
from marchproxy.modules.reception.client import Arrival, ClientTls
from marchproxy.wire.mysql.proofs import NATIVE

PASSWORD = "secret word"
#: What the proxy knows of users, and what the servers do.
USERS = {"app": "", "owner": PASSWORD, "other": "another"}
PASSWORDS = {"owner": PASSWORD, "other": "another", "root": ""}
INIT = (
    f"create user owner@'127.0.0.1' identified by '{PASSWORD}';",
    "create user other@'127.0.0.1' identified by 'another';",
    "create database shop;",
    "create database attic;",
    "grant all on *.* to owner@'127.0.0.1';",
    "grant all on shop.* to other@'127.0.0.1';",
)


@dataclass
class Setup:
    """What a test wants to be other than usual."""

    users: Mapping[str, str] = field(default_factory=lambda: USERS)
    method: str = NATIVE
    tls: ClientTls | None = None
    certificates: bool = False
    options: DatabasePool = DatabasePool(size=100)
    route: DatabaseRoute = DatabaseRoute()
    gate: Gate = field(default_factory=OpenGate)
    passwords: Mapping[str, str] = field(default_factory=lambda: PASSWORDS)
    upstream_tls: UpstreamTls | None = None
    client: HostPort = HostPort("127.0.0.1", 1)

    def upstream(self, ports: Sequence[int], name: str = "servers") -> Upstream:
        endpoints = tuple(Endpoint(f"127.0.0.1:{port}") for port in ports)
        pool = BackendPool(
            PoolName(name),
            endpoints=endpoints,
            protocol=Protocol.MYSQL,
            tls=self.upstream_tls,
            database=self.options,
            connect_timeout=5.0,
        )
        return Upstream(pool, self.options, self.passwords)

    def plan(self, *ports: int) -> DblbPlan:
        return self.planned([(self.upstream(ports), 100)])

    def planned(self, backends: Sequence[tuple[Upstream, int]]) -> DblbPlan:
        kinds = [AuthenticationKind.CERTIFICATE] * self.certificates + [AuthenticationKind.USERLIST]
        ways = tuple(Way(Authentication(kind.value, kind, method=self.method), self.users) for kind in kinds)
        route = Route(RouteId("sql"), protocol=Protocol.MYSQL, database=self.route)
        planned = RoutePlan(route, self.route, tuple(backends), ways)
        return DblbPlan({Protocol.MYSQL: (planned,)}, {up.name: up for up, _ in backends})


@dataclass
class Rig:
    port: int
    service: MySqlService
    around: Surroundings

    @property
    def links(self) -> int:
        return sum(gauge.connections for gauge in self.service.gauges())

    @property
    def sessions(self) -> list:
        return list(self.service._sessions.values())

    @property
    def tally(self):
        """The one that there is."""
        (tally,) = self.around.tallies.kept.values()
        return tally

    def connect(self, **options: Any) -> pymysql.Connection:
        """Blocks; call it in a thread."""
        wanted = {
            "user": "owner",
            "password": PASSWORD,
            "database": "shop",
            "connect_timeout": 20,
            "read_timeout": 20,
        }
        return pymysql.connect(host="127.0.0.1", port=self.port, **(wanted | options))

    async def ask(self, statement: str, **options: Any) -> Any:
        """The rows of one statement, over a connection of its own."""
        return await asyncio.to_thread(self._ask, statement, options)

    def _ask(self, statement: str, options: dict[str, Any]) -> Any:
        with self.connect(**options) as connection:
            return asked(connection, statement)

    async def until(self, true) -> None:
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.01)


def asked(connection: pymysql.Connection, statement: str) -> Any:
    """The rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def error_of(connection: pymysql.Connection, statement: str) -> tuple:
    """The number and the words of the error that a statement ends with."""
    try:
        connection.query(statement)
    except pymysql.err.MySQLError as error:
        return error.args
    return (0, "no error")


@asynccontextmanager
async def proxied(
    *ports: int, setup: Setup | None = None, plan: DblbPlan | None = None
) -> AsyncIterator[Rig]:
    setup = setup or Setup()
    async with asyncio.TaskGroup() as group:
        around = Surroundings(group, SystemClock(), Tallies(), setup.gate)
        service = MySqlService(around)
        service.apply(plan or setup.plan(*ports))
        arrival = Arrival(setup.client, 3306, setup.tls)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: service.accept(arrival), "127.0.0.1", 0)
        try:
            yield Rig(listener.sockets[0].getsockname()[1], service, around)
        finally:
            listener.close()
            service.close()
