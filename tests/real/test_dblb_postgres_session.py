"""Sessions of PostgreSQL: pooled by session, moved by a new plan, paused, drained, refused, and counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
import pytest_asyncio

from marchproxy.modules.dblb.gate import OPEN, Refusal, RefusalKind, Shut
from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.postgres.service import PostgresService
from marchproxy.modules.dblb.service import Surroundings
from tests.real.support.databases import postgres
from tests.real.support.dblb_services import Served, plan_of, serving
from tests.real.support.postgres_plan import document_before, plan_before
from tests.real.support.waiting import until

#: A client library that hears why while it asks nothing forgets it.
GONE = "the route r is gone|the proxy is stopping|closed the connection"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        yield port


def plan(server: int, **pool: Any) -> DblbPlan:
    return plan_before(server, secret="", **pool)


@asynccontextmanager
async def proxied(server: int, **pool: Any) -> AsyncIterator[Served]:
    async with serving(PostgresService, plan(server, **pool)) as served:
        yield served


async def connect(served: Served, *, autocommit: bool = True, **more: object) -> psycopg.AsyncConnection:
    where = {"host": "127.0.0.1", "port": served.port, "user": "app", "dbname": "app", "sslmode": "disable"}
    return await psycopg.AsyncConnection.connect(**where, autocommit=autocommit, **more)


async def value(connection: psycopg.AsyncConnection, query: str, *values: object) -> object:
    row = await (await connection.execute(query, values)).fetchone()
    assert row is not None
    return row[0]


async def test_a_session_has_its_server_until_it_ends(server):
    async with proxied(server, size=2, pooling="session") as served:
        async with await connect(served) as one, await connect(served) as other:
            first, second = (
                await value(one, "select pg_backend_pid()"),
                await value(other, "select pg_backend_pid()"),
            )
            assert first != second
            await one.execute("create temp table mine as select 1")
            assert await value(one, "select count(*) from mine") == 1
            assert await value(one, "select pg_backend_pid()") == first
        async with await connect(served) as third:
            assert await value(third, "select pg_backend_pid()") in {first, second}
            assert await value(third, "select to_regclass('pg_temp.mine')") is None


async def test_counts(server):
    async with proxied(server, size=1) as served:
        async with await connect(served) as one:
            for _ in range(3):
                await one.execute("select 1")
            with pytest.raises(psycopg.errors.SyntaxError):
                await one.execute("selec")
            async with one.transaction():
                await one.execute("select %s", (2,))
            (key,), (tally,) = served.around.tallies.kept.keys(), served.around.tallies.kept.values()
            assert (key.route, key.pool, key.database, key.user) == ("r", "main", "app", "app")
            assert (tally.clients, tally.errors) == (1, 1)
            assert tally.queries == 3 + 1 + 3
            assert tally.transactions == 3 + 1 + 1
            assert sum(tally.query_seconds.buckets) == 7
        await until(lambda: tally.clients == 0, within=15)
        (gauge,) = served.service.gauges()
        assert (gauge.pool, gauge.connections, gauge.idle, gauge.size) == ("main", 1, 1, 1)


async def test_a_new_password_of_a_pool_closes_its_sessions_and_nobodys_transaction(server):
    document = document_before(server, trusted=True, users="/pool", size=1)
    async with (
        serving(PostgresService, plan_of(document, {"/pool": b'"app" "old"'})) as served,
        await connect(served, autocommit=False) as one,
    ):
        number = await value(one, "select pg_backend_pid()")
        served.service.apply(plan_of(document, {"/pool": b'"app" "new"'}))
        assert await value(one, "select pg_backend_pid()") == number
        await one.commit()
        assert await value(one, "select pg_backend_pid()") != number


async def test_sizes_change_in_place(server):
    async with (
        proxied(server, size=1) as served,
        await connect(served, autocommit=False) as one,
        await connect(served) as other,
    ):
        await one.execute("select 1")
        waiting = asyncio.create_task(value(other, "select 2"))
        await until(lambda: served.service.gauges()[0].waiting == 1, within=15)
        served.service.apply(plan(server, size=2))
        assert await waiting == 2
        served.service.apply(plan(server, size=1))
        await one.rollback()
        await until(lambda: served.service.gauges()[0].connections <= 1, within=15)


async def test_a_route_that_is_gone_ends_its_sessions_after_their_transaction(server):
    async with proxied(server) as served:
        idle, busy = await connect(served), await connect(served, autocommit=False)
        await busy.execute("create table if not exists gone (a int)")
        served.service.apply(DblbPlan())
        with pytest.raises(psycopg.OperationalError, match=GONE):
            await idle.execute("select 1")
        await busy.execute("insert into gone values (1)")
        await busy.commit()
        with pytest.raises(psycopg.OperationalError, match=GONE):
            await busy.execute("select 1")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await connect(served, password="x")
        await until(lambda: served.service.clients() == 0, within=15)
        await idle.close()
        await busy.close()


async def test_a_route_moves_to_another_pool(server):
    document = document_before(server, trusted=True)
    blue = document["pools"][0]
    document["pools"].append({**blue, "name": "green", "database": {"size": 2}})
    async with serving(PostgresService, plan_of(document)) as served, await connect(served) as one:
        first = await value(one, "select pg_backend_pid()")
        document["routes"][0]["backends"] = [{"pool": "green", "weight": 100}]
        served.service.apply(plan_of(document))
        assert await value(one, "select pg_backend_pid()") != first
        assert {key.pool: tally.clients for key, tally in served.around.tallies.kept.items()} == {
            "main": 0,
            "green": 1,
        }


async def test_a_paused_route_waits_and_goes_on(server):
    async with (
        proxied(server) as served,
        await connect(served) as one,
        await connect(served, autocommit=False) as busy,
    ):
        await busy.execute("select 1")
        served.service.pause("r")
        waiting = asyncio.create_task(value(one, "select 5"))
        assert served.service.busy("r") == 1
        assert await value(busy, "select 6") == 6  # what has begun goes on
        await busy.rollback()
        await until(lambda: served.service.busy("r") == 0, within=15)
        assert not waiting.done()
        served.service.resume("r")
        assert await waiting == 5


async def test_who_waits_too_long_for_a_paused_route_is_told(server):
    async with proxied(server, wait="0.2s") as served, await connect(served) as one:
        served.service.pause("r")
        with pytest.raises(psycopg.errors.TooManyConnections, match="the route is paused"):
            await one.execute("select 1")
        served.service.resume("r")
        assert await value(one, "select 1") == 1


async def test_draining_interrupts_nothing(server):
    async with proxied(server) as served:
        idle, busy = await connect(served), await connect(served, autocommit=False)
        await busy.execute("select 1")
        served.service.drain()
        with pytest.raises(psycopg.OperationalError, match=GONE):
            await idle.execute("select 1")
        with pytest.raises(psycopg.OperationalError, match=GONE):
            await connect(served)
        assert await value(busy, "select 7") == 7
        await busy.commit()
        await until(lambda: served.service.clients() == 0, within=15)
        await idle.close()
        await busy.close()


class Strict:
    """Refuses what says `secret`, and more than a number of executions."""

    looks = True

    def __init__(self, most: int) -> None:
        self.left = most

    def refuses(self, statement: bytes) -> Refusal | None:
        return self.forbids(statement) or self.limits()

    def forbids(self, statement: bytes) -> Refusal | None:
        return Refusal("rule no-secrets", RefusalKind.BLOCKED) if b"secret" in statement else None

    def limits(self) -> Refusal | None:
        self.left -= 1
        return Refusal("limit l", RefusalKind.LIMITED, 2.0) if self.left < 0 else None

    def reads(self, syntax: object) -> None: ...

    def leave(self) -> None: ...


class StrictGate:
    def __init__(self, most: int = 1000) -> None:
        self.most = most

    def enter(self, _route: object, who: Any, _tally: object) -> Any:
        if who.application == "unwelcome":
            raise Shut(Refusal("limit connections", RefusalKind.LIMITED, 1.0))
        return Strict(self.most) if who.application != "free" else OPEN


@asynccontextmanager
async def gated(server: int, most: int = 1000) -> AsyncIterator[Served]:
    def change(around: Surroundings) -> None:
        around.gate = StrictGate(most)

    async with serving(PostgresService, plan(server, size=1), change=change) as served:
        yield served


async def test_a_blocked_statement_is_an_error_and_the_connection_lives_on(server):
    async with gated(server) as served, await connect(served) as one:
        for prepare in (False, True):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="rule no-secrets"):
                await one.execute("select 'secret'", prepare=prepare)
            assert await value(one, "select 1") == 1
        async with one.transaction():
            assert await value(one, "select %s::int", 2) == 2
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await one.execute("select 'secret', %s", ("x",))
            # it was no part of the transaction, which is as it was
            assert one.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
            assert await value(one, "select 3") == 3
        assert one.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


async def blocked_pipeline(connection: psycopg.AsyncConnection) -> None:
    async with connection.pipeline():
        first = await connection.execute("select %s::int", (1,))
        await connection.execute("select 'secret', %s::int", (2,))
        await connection.execute("select %s::int", (3,))
        assert await first.fetchone() == (1,)


async def test_a_blocked_statement_in_a_pipeline(server):
    async with gated(server) as served, await connect(served) as one:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await blocked_pipeline(one)
        async with one.pipeline():
            cursors = [await one.execute("select %s::int", (number,)) for number in range(5)]
            assert [await cursor.fetchone() for cursor in cursors] == [(number,) for number in range(5)]


async def test_a_limit_is_an_error_that_says_when_to_ask_again(server):
    async with gated(server, 3) as served, await connect(served) as one:
        for _ in range(3):
            await one.execute("select 1")
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="limit l") as told:
            await one.execute("select 1")
        assert told.value.diag.message_hint == "Ask again in 2 s."
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
            await one.execute("select %s::int", (1,))
        assert not served.service.busy("r")


async def test_a_client_that_is_not_let_in_by_the_gate(server):
    async with gated(server) as served:
        with pytest.raises(psycopg.OperationalError, match="limit connections"):
            await connect(served, application_name="unwelcome")
        async with await connect(served, application_name="free") as one:
            assert await value(one, "select 'secret'") == "secret"


async def test_a_client_that_leaves_while_the_server_works_leaves_no_work_behind(server):
    async with proxied(server, size=1) as served:
        leaving = await connect(served)
        number = await value(leaving, "select pg_backend_pid()")
        task = asyncio.create_task(leaving.execute("select pg_sleep(300)"))
        await until(lambda: served.service.busy("r") == 1, within=15)
        leaving.pgconn.finish()
        task.cancel()
        await asyncio.wait([task])
        async with await connect(served) as other, asyncio.timeout(15):
            while await value(other, "select count(*) from pg_stat_activity where pid = %s", number):
                await asyncio.sleep(0.05)


async def test_the_last_words_of_a_server_are_told_as_they_stand(server):
    async with proxied(server, size=2) as served, await connect(served) as other:
        ended = await connect(served, autocommit=False)
        number = await value(ended, "select pg_backend_pid()")
        task = asyncio.create_task(ended.execute("select pg_sleep(300)"))
        await until(lambda: served.service.busy("r") == 1, within=15)
        await other.execute("select pg_terminate_backend(%s)", (number,))
        with pytest.raises(psycopg.errors.AdminShutdown, match="due to administrator command"):
            await task
        await ended.close()


async def test_asyncpg_in_a_session_of_its_own(server):
    async with proxied(server, size=2, pooling="session") as served:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=served.port, user="app", database="app", ssl=False
        )
        heard: asyncio.Queue[str] = asyncio.Queue()
        await connection.add_listener("news", lambda *words: heard.put_nowait(words[3]))
        await connection.execute("notify news, 'hello'")
        async with asyncio.timeout(20):
            assert await heard.get() == "hello"
        await connection.close()
