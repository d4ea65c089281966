"""Which route takes a client of MySQL, what it must show, and what becomes of it when the plan changes."""

import asyncio
import ssl
from dataclasses import replace

import pymysql
import pytest
import pytest_asyncio

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabasePool, DatabaseRoute
from marchproxy.model.module import Protocol
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.gate import OpenGate, RefusalKind, Shut
from marchproxy.modules.dblb.gate import Refusal as Denial
from marchproxy.modules.dblb.mysql.service import MySqlService
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tallies
from marchproxy.modules.reception.client import Arrival, ClientTls
from marchproxy.wire.mysql.proofs import CACHING, NATIVE, native_hash
from marchproxy.wire.mysql.sha_crypt import sha256_crypt
from tests.real.mysql_rig import INIT, PASSWORD, Setup, asked, error_of, proxied
from tests.real.support.certificates import make_certificate
from tests.real.support.databases import mariadb

pytestmark = pytest.mark.asyncio(loop_scope="module")
SALT = b"01234567890123456789"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers():
    """A blue one and a green one."""
    async with (
        mariadb("--server-id=1", init=INIT) as blue,
        mariadb("--server-id=2", init=INIT) as green,
    ):
        yield blue, green


def plan_of(*routes: RoutePlan) -> DblbPlan:
    ordered = tuple(sorted(routes, key=lambda one: one.precision, reverse=True))
    return DblbPlan({Protocol.MYSQL: ordered}, {up.name: up for one in routes for up, _ in one.backends})


def route(port, name, **options) -> RoutePlan:
    setup = Setup(route=DatabaseRoute(**options))
    (planned,) = setup.planned([(setup.upstream([port], name), 100)]).of(Protocol.MYSQL)
    return replace(planned, route=replace(planned.route, route_id=RouteId(name)))


WHO = "select @@server_id"


async def test_a_route_is_for_a_user_a_database_or_an_application(servers):
    blue, green = servers
    plan = plan_of(
        route(blue, "any"),
        route(green, "attic", databases=("att*",)),
        route(green, "other", users=("other",)),
        route(green, "reports", applications=("report*",)),
    )
    async with proxied(plan=plan) as rig:
        assert await rig.ask(WHO) == ((1,),)
        assert await rig.ask(WHO, database="attic") == ((2,),)
        assert await rig.ask(WHO, user="other", password="another") == ((2,),)
        assert await rig.ask(WHO, program_name="reporting") == ((2,),)
        assert {key.route for key in rig.around.tallies.kept} == {"any", "attic", "other", "reports"}


async def test_who_is_taken_by_no_route_is_told_so(servers):
    async with proxied(plan=plan_of(route(servers[0], "attic", databases=("attic",)))) as rig:
        with pytest.raises(pymysql.err.OperationalError, match=r"1045.*no route"):
            await rig.ask(WHO)


async def test_a_database_has_another_name_on_the_servers(servers):
    def work(rig):
        with rig.connect(database="store") as connection:
            assert asked(connection, "select database()") == (("shop",),)
            connection.select_db("attic")
            connection.select_db("store")
            assert asked(connection, "select database()") == (("shop",),)

    async with proxied(plan=plan_of(route(servers[0], "store", databases=("store",), rename="shop"))) as rig:
        await asyncio.to_thread(work, rig)


@pytest.mark.parametrize("form", ["verifier", "native"])
async def test_what_is_kept_of_a_password_is_enough_to_let_its_owner_in(servers, form):
    """The servers are told the password that the client has shown."""
    digest = sha256_crypt(PASSWORD.encode(), SALT, 5000)
    kept = "0x" + (b"$A$005$" + SALT + digest).hex()
    if form == "native":
        kept = "*" + native_hash(PASSWORD.encode()).hex()
    setup = Setup(users={"owner": kept}, method=CACHING, passwords={})
    async with proxied(servers[0], setup=setup) as rig:
        for _ in range(2):  # the second time from the cache
            assert await rig.ask(WHO) == ((1,),)
        with pytest.raises(pymysql.err.OperationalError, match="1045"):
            await rig.ask(WHO, password="wrong")


async def test_a_verifier_is_not_for_the_old_method(servers):
    digest = sha256_crypt(PASSWORD.encode(), SALT, 5000)
    kept = (b"$A$005$" + SALT + digest).decode()
    async with proxied(servers[0], setup=Setup(users={"owner": kept}, method=NATIVE)) as rig:
        with pytest.raises(pymysql.err.OperationalError, match="1251"):
            await rig.ask(WHO)


async def test_a_method_that_is_not_given_is_the_secrets_own(servers):
    stored = "*" + native_hash(PASSWORD.encode()).hex()
    async with proxied(
        servers[0], setup=Setup(users={"owner": stored, "other": "another"}, method="")
    ) as rig:
        assert await rig.ask(WHO) == ((1,),)
        assert await rig.ask(WHO, user="other", password="another") == ((1,),)


async def test_a_certificate_is_for_its_user_and_for_nobody_else(servers, tmp_path):
    server, client = (make_certificate(tmp_path, name) for name in ("localhost", "owner"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server, server.with_suffix(".key"))
    context.load_verify_locations(client)
    context.verify_mode = ssl.CERT_OPTIONAL
    setup = Setup(tls=ClientTls(context), certificates=True)
    shown = {"ssl": {"ca": str(server), "check_hostname": False}}
    shown["ssl"] |= {"cert": str(client), "key": str(client.with_suffix(".key"))}
    async with proxied(servers[0], setup=setup) as rig:
        for password in ("", "no matter what"):
            assert await rig.ask(WHO, password=password, **shown) == ((1,),)
        with pytest.raises(pymysql.err.OperationalError, match="1045"):
            await rig.ask(WHO, user="other", password="", **shown)


async def test_a_route_without_ways_takes_everybody_as_whom_they_say_they_are(servers):
    (planned,) = Setup().plan(servers[0]).of(Protocol.MYSQL)
    async with proxied(plan=plan_of(replace(planned, ways=()))) as rig:
        assert await rig.ask("select substring_index(user(), '@', 1)", password="any") == (("owner",),)
        with pytest.raises(
            pymysql.err.OperationalError, match="1045"
        ):  # by the server, which does not know it
            await rig.ask(WHO, user="stranger", password="any")


async def test_a_gate_that_is_shut_refuses_with_its_words(servers):
    class Closed(OpenGate):
        def enter(self, route, who, tally):
            raise Shut(Denial("too many of you", RefusalKind.LIMITED))

    async with proxied(servers[0], setup=Setup(gate=Closed())) as rig:
        with pytest.raises(pymysql.err.OperationalError, match=r"1226.*too many of you"):
            await rig.ask(WHO)


async def test_a_plan_that_changes_finds_sessions_where_they_are(servers):
    """Those whose route is gone end when they rest; the others go on, and new ones go by the new plan."""
    blue, green = servers
    async with proxied(plan=plan_of(route(blue, "any"), route(blue, "attic", databases=("attic",)))) as rig:
        stays, goes, works = [
            await asyncio.to_thread(rig.connect, database=name) for name in ("shop", "attic", "attic")
        ]
        for connection in (stays, goes):
            await asyncio.to_thread(asked, connection, WHO)
        await asyncio.to_thread(asked, works, "begin")
        rig.service.apply(plan_of(route(blue, "any"), route(green, "shop", databases=("shop",))))
        assert await asyncio.to_thread(asked, stays, WHO) == ((1,),)
        assert await rig.ask(WHO) == ((2,),)
        await rig.until(lambda: rig.service.clients() == 2)
        assert (await asyncio.to_thread(error_of, goes, "select 1"))[0] in {1053, 2006, 2013}
        assert await asyncio.to_thread(asked, works, WHO) == ((1,),)
        await asyncio.to_thread(works.query, "rollback")
        await rig.until(lambda: rig.service.clients() == 1)
        stays.close()
        works._force_close()


async def test_writes_move_to_another_pool_while_the_route_is_paused(servers):
    def plan(writes):
        setup = Setup(route=DatabaseRoute(writes=writes))
        pools = [setup.upstream([port], name) for port, name in zip(servers, ("blue", "green"), strict=True)]
        return setup.planned([(pools[0], 50), (pools[1], 50)])

    sql = RouteId("sql")
    async with proxied(plan=plan("blue")) as rig:
        connection = await asyncio.to_thread(rig.connect, autocommit=True)
        await asyncio.to_thread(asked, connection, "set time_zone = '+02:00'")
        assert await asyncio.to_thread(asked, connection, WHO) == ((1,),)
        rig.service.pause(sql)
        async with asyncio.TaskGroup() as group:
            held = group.create_task(asyncio.to_thread(asked, connection, "select @@server_id, @@time_zone"))
            await rig.until(lambda: rig.service.busy(sql) == 0)
            rig.service.apply(plan("green"))
            rig.service.resume(sql)
            assert await held == ((2, "+02:00"),)
        assert await rig.ask(WHO) == ((2,),)
        connection.close()


async def test_a_server_that_nobody_watches_is_asked_a_query_when_somebody_wants_to_know(servers):
    async with proxied(servers[0]) as rig:
        (report,) = await rig.service.check()
        assert (report.role, report.fault) == ("primary", "")
        assert report.latency is not None
    async with proxied(servers[0], setup=Setup(passwords={"owner": "wrong"})) as rig:
        (report,) = await rig.service.check()
        assert "1045" in report.fault
    async with proxied(1) as rig:
        (report,) = await rig.service.check()
        assert report.fault


async def test_pools_are_counted_and_have_an_end(servers):
    setup = Setup(options=DatabasePool(size=3, wait=0.2))
    async with proxied(servers[0], setup=setup) as rig:
        clients = [await asyncio.to_thread(rig.connect) for _ in range(3)]
        for client in clients:
            await asyncio.to_thread(asked, client, "select 1")
        (gauge,) = rig.service.gauges()
        assert (gauge.connections, gauge.idle, gauge.size, gauge.role) == (3, 0, 3, "primary")
        assert (gauge.database, gauge.user, gauge.pool) == ("shop", "owner", "servers")
        with pytest.raises(pymysql.err.OperationalError, match="1040"):
            await rig.ask(WHO)
        await rig.until(lambda: rig.tally.clients == 3)
        for client in clients:
            await asyncio.to_thread(client.close)
        await rig.until(lambda: rig.tally.clients == 0)
        assert rig.tally.queries >= 9
        assert rig.tally.transactions >= 3


async def test_a_session_of_another_worker_is_stopped_there(servers):
    """Two services as two workers are; what one says reaches the other."""
    async with asyncio.TaskGroup() as group:
        services = []

        async def elsewhere(worker, message):
            await services[worker].told(message)

        for worker in range(2):
            around = Surroundings(group, SystemClock(), Tallies(), OpenGate(), worker, 2, elsewhere=elsewhere)
            services.append(MySqlService(around))
            services[-1].apply(Setup().plan(servers[0]))
        loop, arrival = asyncio.get_running_loop(), Arrival(HostPort("127.0.0.1", 1), 3306)
        listeners = [
            await loop.create_server(lambda one=one: one.accept(arrival), "127.0.0.1", 0) for one in services
        ]

        def connect(listener):
            port = listener.sockets[0].getsockname()[1]
            return pymysql.connect(host="127.0.0.1", port=port, user="owner", password=PASSWORD)

        victim, killer = [await asyncio.to_thread(connect, one) for one in reversed(listeners)]
        async with asyncio.timeout(20):
            slept = asyncio.create_task(asyncio.to_thread(error_of, victim, "select sleep(15)"))
            while not any(one.link and one.link.flow.owed for one in services[1]._sessions.values()):
                await asyncio.sleep(0.01)
            await asyncio.to_thread(asked, killer, f"kill query {victim.thread_id()}")
            assert (await slept)[0] == 1317
        for one in (victim, killer, *listeners):
            one.close()
        for service in services:
            service.close()
