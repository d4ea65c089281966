"""MySQL's protocol before a MariaDB: its own client, pymysql, TLS, both ways to prove a password, and what goes wrong."""

import asyncio
import ssl
import struct

import psutil
import pymysql
import pytest
import pytest_asyncio
import uvloop

from marchproxy.model.database import DatabasePool
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.gate import Refusal as Denial
from marchproxy.modules.dblb.gate import RefusalKind
from marchproxy.modules.dblb.mysql import service
from marchproxy.modules.reception.client import ClientTls
from marchproxy.wire.mysql.endings import Tracked, read_ok
from marchproxy.wire.mysql.handshake import Login, read_greeting
from marchproxy.wire.mysql.numbers import Capability
from marchproxy.wire.mysql.packets import packet
from marchproxy.wire.mysql.proofs import CACHING, NATIVE, native_hash, native_proof
from tests.real.mysql_rig import INIT, PASSWORD, Rig, Setup, asked, error_of, proxied
from tests.real.support.certificates import make_certificate
from tests.real.support.databases import mariadb, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    async with mariadb("--max-allowed-packet=64M", init=INIT) as port:
        yield port


def contexts(folder):
    certificate = make_certificate(folder, "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return server, certificate


async def cli(rig: Rig, statement: str, *options: str) -> str:
    where = (
        "--no-defaults",
        "-h",
        "127.0.0.1",
        "-P",
        str(rig.port),
        "-u",
        "owner",
        f"-p{PASSWORD}",
        "-N",
        "-B",
    )
    return await run("mariadb", *where, *options, "shop", "-e", statement)


async def test_the_client_of_mariadb_asks_and_is_answered(server):
    async with proxied(server) as rig:
        answer = await cli(
            rig,
            "select 1, 'two', null; create or replace table t (n int); insert t values (3); select * from t",
        )
    assert answer.split() == ["1", "two", "NULL", "3"]


async def test_rows_of_20_mib_pass_both_ways(server):
    async with proxied(server) as rig:
        big = "x" * (20 << 20)
        rows = await rig.ask(f"select '{big}'")
        assert rows == ((big,),)
        rows = await rig.ask("select repeat('y', 16777215 - 4), repeat('z', 17000000), 7")
    assert [len(rows[0][0]), len(rows[0][1]), rows[0][2]] == [16777211, 17000000, 7]


async def test_transactions_results_and_errors_pass(server):
    def work(rig):
        several = pymysql.constants.CLIENT.MULTI_STATEMENTS
        with rig.connect(client_flag=several) as connection, connection.cursor() as cursor:
            cursor.execute("create or replace table account (n int primary key)")
            cursor.execute("insert account values (1), (2)")
            connection.rollback()
            cursor.execute("select count(*) from account")
            assert cursor.fetchone() == (0,)
            cursor.execute("select 1; select 2; select 3")
            seen = [cursor.fetchall()]
            while cursor.nextset():
                seen.append(cursor.fetchall())
            assert seen == [((1,),), ((2,),), ((3,),)]
            with pytest.raises(pymysql.err.ProgrammingError, match="1064"):
                cursor.execute("selekt")
            connection.ping(reconnect=False)

    async with proxied(server) as rig:
        await asyncio.to_thread(work, rig)


async def test_prepared_statements_and_cursors_pass(server):
    """In the words of the protocol, because pymysql prepares nothing."""

    def work(rig):
        with rig.connect() as connection:
            connection._execute_command(0x16, "select seq from shop.numbers where seq > ?")
            head = connection._read_packet()
            (number,) = struct.unpack_from("<I", head._data, 1)
            for _ in range(4):  # a parameter and a column, an EOF behind each
                connection._read_packet()
            for cursor in (0, 1):
                execute = struct.pack("<IBIBBBBI", number, cursor, 1, 0, 1, 3, 0, 1)
                connection._execute_command(0x17, execute)
                for _ in range(3):  # how many columns, the column, EOF
                    packet = connection._read_packet()
                if cursor:
                    assert packet._data[3] & 0x40
                    connection._execute_command(0x1C, struct.pack("<II", number, 10))
                rows = 0
                while not (packet := connection._read_packet()).is_eof_packet():
                    rows += 1
                assert rows == 2
            connection._execute_command(0x19, struct.pack("<I", number))
            with connection.cursor() as cursor:
                cursor.execute("select 5")
                assert cursor.fetchone() == (5,)

    async with proxied(server) as rig:
        await rig.ask("create or replace table numbers (seq int)")
        await rig.ask("insert numbers values (1), (2), (3)", autocommit=True)
        await asyncio.to_thread(work, rig)


async def test_the_next_client_finds_nothing_of_the_one_before(server):
    one = Setup(options=DatabasePool(size=1))
    async with proxied(server, setup=one) as rig:
        number = (await rig.ask("select connection_id()"))[0]
        await rig.ask("set @a = 1, session sql_mode = 'ansi'")
        await rig.ask("use attic")
        await rig.ask("create temporary table t (n int)")
        found = (
            await rig.ask(
                "select connection_id(), @a, database(), @@sql_mode like 'real%', @@character_set_client"
            )
        )[0]
    assert found == (*number, None, "shop", 0, "utf8mb4")


async def test_who_waits_too_long_is_told_that_there_are_too_many(server):
    one = Setup(options=DatabasePool(size=1, wait=0.2))
    async with proxied(server, setup=one) as rig:
        connection = await asyncio.to_thread(rig.connect)
        with pytest.raises(pymysql.err.OperationalError, match="1040"):
            await rig.ask("select 1")
        await asyncio.to_thread(connection.close)
        assert await rig.ask("select 1") == ((1,),)


@pytest.mark.parametrize("options", [{"password": "wrong"}, {"user": "nobody"}, {"password": ""}])
@pytest.mark.parametrize("plugin", ["mysql_native_password", CACHING])
async def test_a_wrong_password_is_refused(server, plugin, options):
    async with proxied(server, setup=Setup(method=plugin)) as rig:
        with pytest.raises(pymysql.err.OperationalError, match="1045"):
            await rig.ask("select 1", **options)


async def test_a_password_that_the_server_does_not_take_is_told_the_client(server):
    async with proxied(server, setup=Setup(passwords={"owner": "stale"})) as rig:
        with pytest.raises(pymysql.err.OperationalError, match="1045"):
            await rig.ask("select 1")


async def test_caching_sha2_by_its_cache_by_rsa_and_by_tls(server, tmp_path):
    stored = "*" + native_hash(PASSWORD.encode()).hex()
    tls, certificate = contexts(tmp_path)
    for secret, over_tls in ((PASSWORD, False), (stored, False), (stored, True)):
        settings = Setup(users={"owner": secret}, method=CACHING, tls=ClientTls(tls))
        async with proxied(server, setup=settings) as rig:
            options = (
                {"ssl": {"ca": str(certificate), "check_hostname": False}}
                if over_tls
                else {"ssl_disabled": True}
            )
            for _ in range(2):  # the second time from the cache
                assert await rig.ask("select 1", **options) == ((1,),)


async def test_we_log_in_to_a_server_by_caching_sha2(server, tmp_path):
    """MariaDB has no such plugin, so the server is one of ours: with the password in its cache, by RSA, and by TLS."""
    stored = "*" + native_hash(PASSWORD.encode()).hex()
    tls, certificate = contexts(tmp_path)
    client = UpstreamTls(str(certificate), "localhost")
    for secret, context in ((PASSWORD, None), (stored, None), (stored, client)):
        settings = Setup(users={"owner": secret}, method=CACHING, tls=ClientTls(tls))
        outer = Setup(upstream_tls=context)
        async with proxied(server, setup=settings) as inner, proxied(inner.port, setup=outer) as rig:
            for _ in range(2):
                assert await rig.ask("select 1") == ((1,),)


async def test_tls_on_both_sides(server, tmp_path):
    tls, certificate = contexts(tmp_path)
    settings = Setup(tls=ClientTls(tls, required=True))
    async with proxied(server, setup=settings) as rig:
        with pytest.raises(pymysql.err.OperationalError, match="3159"):
            await rig.ask("select 1", ssl_disabled=True)
        big = await rig.ask(
            "select repeat('x', 3000000)", ssl={"ca": str(certificate), "check_hostname": False}
        )
        assert len(big[0][0]) == 3000000
        assert await cli(rig, "select 1", "--ssl", f"--ssl-ca={certificate}") == "1\n"


async def test_a_client_changes_its_user_and_resets_its_session(server):
    def work(rig):
        with rig.connect() as connection:
            connection.query("set @a = 1")
            connection._execute_command(0x1F, "")
            connection._read_ok_packet() if hasattr(
                connection, "_read_ok_packet"
            ) else connection._read_packet()
            with connection.cursor() as cursor:
                cursor.execute("select @a, current_user()")
                assert cursor.fetchone() == (None, "owner@127.0.0.1")
            words = (
                b"other\0\0attic\0".replace(b"attic", b"shop")
                + struct.pack("<H", 45)
                + b"mysql_native_password\0"
            )
            connection._execute_command(0x11, words)
            switch = connection._read_packet()
            assert switch.is_auth_switch_request()
            nonce = switch._data[1:].split(b"\0")[1]
            connection.write_packet(pymysql._auth.scramble_native_password(b"another", nonce))
            assert connection._read_packet().is_ok_packet()
            with connection.cursor() as cursor:
                cursor.execute("select current_user(), database()")
                assert cursor.fetchone() == ("other@127.0.0.1", "shop")

    async with proxied(server) as rig:
        await asyncio.to_thread(work, rig)


async def test_a_client_that_wants_no_eof_and_to_hear_of_state_gets_that_from_the_server(server):
    async with proxied(server) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)

        async def hear():
            head = await reader.readexactly(4)
            return await reader.readexactly(int.from_bytes(head[:3], "little"))

        async with asyncio.timeout(20):
            greeting = read_greeting(await hear())
            wanted = greeting.capabilities & ~Capability.SSL
            assert wanted & Capability.DEPRECATE_EOF
            assert wanted & Capability.SESSION_TRACK
            proof = native_proof(PASSWORD.encode(), greeting.nonce)
            writer.write(packet(1, Login(wanted, "owner", proof, "shop", NATIVE).encode()))
            assert (await hear())[0] == 0
            assert rig.links == 0  # who asks nothing has no server
            writer.write(packet(0, b"\x03set session_track_state_change = 1"))
            await hear()
            writer.write(packet(0, b"\x03set @a = 1"))
            ((what, state),) = read_ok(await hear(), wanted).changes
            assert what == Tracked.STATE_CHANGE
            assert state.endswith(b"1")
            writer.write(packet(0, b"\x03select 7") + packet(0, b"\x0e"))
            answer = [await hear() for _ in range(5)]
        writer.close()
    assert (answer[0], answer[2], answer[3][0], answer[4][0]) == (b"\x01", b"\x017", 0xFE, 0)


async def test_all_of_it_on_the_loop_of_production(server, tmp_path):
    """uvloop treats protocols that take turns on a connection in ways of its own."""

    async def main():
        tls, certificate = contexts(tmp_path)
        settings = Setup(tls=ClientTls(tls), method=CACHING)
        async with proxied(server, setup=settings) as rig:
            assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
            for options in (
                {"ssl": {"ca": str(certificate), "check_hostname": False}},
                {"ssl_disabled": True},
            ):
                rows = await rig.ask("select repeat('x', 3000000)", **options)
                assert len(rows[0][0]) == 3000000

    await asyncio.to_thread(lambda: uvloop.run(main()))


async def test_whoever_is_logged_in_is_no_newcomer(server, monkeypatch):
    monkeypatch.setattr(service, "MOST_NEWCOMERS", 1)

    def work(rig):
        with rig.connect() as one, rig.connect() as two, rig.connect() as three:
            for connection in (one, two, three):
                assert asked(connection, "select 1") == ((1,),)

    async with proxied(server) as rig:
        await asyncio.to_thread(work, rig)


async def test_a_query_is_killed_by_the_number_that_its_client_knows(server):
    async with proxied(server) as rig:
        connection = await asyncio.to_thread(rig.connect)
        number = connection.thread_id()
        async with asyncio.TaskGroup() as group:
            slept = group.create_task(asyncio.to_thread(error_of, connection, "select sleep(15)"))
            await rig.until(lambda: _sleeps(rig))
            with pytest.raises(pymysql.err.OperationalError, match="1095"):
                await rig.ask(f"kill query {number}", user="other", password="another")
            with pytest.raises(pymysql.err.OperationalError, match="1094"):
                await rig.ask(f"kill {number + 1000}")
            await rig.ask(f"kill query {number}")
            assert (await slept)[0] == 1317
        await rig.ask(f"kill {number}")
        with pytest.raises(pymysql.err.OperationalError, match="2013"):
            await asyncio.to_thread(connection.query, "select 1")


def _sleeps(rig: Rig) -> bool:
    return any(session.link and session.link.flow.owed for session in rig.sessions)


async def test_a_session_that_is_killed_on_the_server_is_told_the_client(server):
    async with proxied(server) as rig:
        connection = await asyncio.to_thread(rig.connect)
        with connection.cursor() as cursor:
            await asyncio.to_thread(cursor.execute, "select connection_id()")
            ((number,),) = cursor.fetchall()
        async with asyncio.TaskGroup() as group:
            query = group.create_task(asyncio.to_thread(error_of, connection, "select sleep(15)"))
            await rig.until(lambda: _sleeps(rig))
            await rig.ask(f"kill {number}")
            assert (await query)[0] == 2013
        assert await rig.ask("select 1") == ((1,),)


async def test_no_server_is_told_the_client():
    async with proxied(1) as rig:
        with pytest.raises(pymysql.err.OperationalError, match="2003"):
            await rig.ask("select 1")


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 36, b"\x05\0\0\x01hello", b"\0\0\0\x01"]
)
async def test_garbage_instead_of_a_login_ends_with_an_error(server, garbage):
    async with proxied(server) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        async with asyncio.timeout(20):
            greeting = await reader.readexactly(
                int.from_bytes(await reader.readexactly(4), "little") & 0xFFFFFF
            )
            writer.write(garbage)
            said = await reader.read()
        writer.close()
        assert greeting[0] == 10
        assert said[4] == 0xFF
        assert b"Bad handshake" in said
        await rig.until(lambda: rig.service.clients() == 0)


async def test_a_client_that_leaves_in_the_middle_of_a_result_takes_its_link_along(server):
    async with proxied(server) as rig:
        connection = await asyncio.to_thread(rig.connect)
        connection._execute_command(3, "select a.seq, repeat('x', 1000) from seq_1_to_1000000 a")
        await asyncio.to_thread(connection._read_packet)
        connection._force_close()
        await rig.until(lambda: rig.service.clients() == 0 and rig.links == 0)
        assert await rig.ask("select 1") == ((1,),)


async def test_a_slow_client_holds_its_server_back(server):
    """A thousand megabytes are asked for, and hardly any read: what is held is what buffers hold."""
    async with proxied(server) as rig:
        connection = await asyncio.to_thread(rig.connect)
        connection._execute_command(3, "select a.seq, repeat('x', 1000) from seq_1_to_1000000 a")
        await asyncio.to_thread(connection._read_packet)
        (session,) = rig.sessions
        await rig.until(
            lambda: session.transport.get_write_buffer_size() > 0 and not session.link.transport.is_reading()
        )
        assert session.transport.get_write_buffer_size() < 2 << 20
        connection._force_close()


class Judge:
    """Refuses what drops, and all executions beyond ten."""

    looks = True

    def __init__(self):
        self.left, self.entered = 10, 0

    def enter(self, route, who, tally):
        self.entered += 1
        return self

    def refuses(self, statement):
        return self.forbids(statement) or self.limits()

    def forbids(self, statement):
        return Denial("not here", RefusalKind.BLOCKED) if b"drop" in statement else None

    def limits(self):
        self.left -= 1
        return Denial("slowly", RefusalKind.LIMITED) if self.left < 0 else None

    def reads(self, syntax):
        """How texts are read does not matter here."""

    def leave(self):
        self.entered -= 1


async def test_what_the_gate_refuses_fails_and_the_connection_lives_on(server):
    def work(rig):
        with rig.connect() as connection:  # two statements are pymysql's own
            assert error_of(connection, "drop table t") == (1227, "not here")
            for _ in range(8):
                assert asked(connection, "select 1") == ((1,),)
            assert error_of(connection, "select 1") == (1226, "slowly")
            assert error_of(connection, "drop table t") == (1227, "not here")
            connection.ping(reconnect=False)
            # who is still sending when it is refused may not get to read why
            assert error_of(connection, "select '" + "x" * 5_000_000 + "'")[0] in {1153, 2006, 2013}

    judge = Judge()
    async with proxied(server, setup=Setup(gate=judge)) as rig:
        await asyncio.to_thread(work, rig)
        await rig.until(lambda: judge.entered == 0)


async def test_a_server_that_is_shot_is_told_the_client():
    settings = Setup(options=DatabasePool(wait=1.0))
    async with mariadb(init=INIT) as port, proxied(port, setup=settings) as rig:
        connection = await asyncio.to_thread(rig.connect)
        async with asyncio.TaskGroup() as group:
            query = group.create_task(asyncio.to_thread(error_of, connection, "select sleep(15)"))
            await rig.until(lambda: _sleeps(rig))
            _shoot(port)
            assert (await query)[0] == 2013
        with pytest.raises(pymysql.err.OperationalError, match="2003"):
            await rig.ask("select 1")


def _shoot(port):
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "mariadbd" and any(
            f"--port={port}" in word for word in process.info["cmdline"]
        ):
            process.kill()
