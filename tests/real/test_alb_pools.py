"""Backend pools of one ALB with its real Envoy: what bounds them, what leaves endpoints out, how one is chosen.

Each test has a route, a host (`<route>.test`) and a pool of one name of its own, so that none disturbs another.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.ports import free_port
from tests.real.support.alb import Alb, pool, route
from tests.real.support.backends import Backend, serving
from tests.real.support.certificates import make_certificate
from tests.real.support.dns import Records, serving_dns
from tests.real.support.load import ask, load

pytestmark = pytest.mark.asyncio(loop_scope="module")

_HEALTHY, _UNHEALTHY = types_pb2.HEALTH_STATUS_HEALTHY, types_pb2.HEALTH_STATUS_UNHEALTHY


@pytest.fixture(scope="module")
def dns_port() -> int:
    """Where the ALB looks names up; a test that needs answers gives them there."""
    return free_port()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def alb(tmp_path_factory: pytest.TempPathFactory, dns_port: int) -> AsyncIterator[Alb]:
    alb = Alb(tmp_path_factory.mktemp("alb"), {}, resolvers=[f"127.0.0.1:{dns_port}"])
    try:
        yield await alb.start()
    finally:
        await alb.close()


async def give(alb: Alb, name: str, *addresses: str, **fields: Any) -> None:
    """The host `<name>.test` to a pool of that name."""
    await alb.put(route(name, **{name: 100}), pools=(pool(name, *addresses, **fields),))


async def names(alb: Alb, name: str, times: int) -> Counter[str]:
    """Who answered so many requests; an answer other than 200 counts as its status."""
    tally = await ask(alb.port, times, host=f"{name}.test")
    return Counter({body if status == 200 else str(status): n for (status, body), n in tally.answers.items()})


async def health(alb: Alb, name: str) -> dict[str, int]:
    answer = await alb.stub.GetBackends(pb.GetBackendsRequest(names=[name]))
    return {item.address: item.health_status for item in answer.pools[0].endpoints}


async def until(true: Callable[[], Any], seconds: float = 15) -> None:
    """Wait for a condition, which is asked again and again."""
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.05)


# --- what a pool is given at once


async def test_more_than_the_breakers_allow_is_refused(alb: Alb) -> None:
    async with serving("small") as (small,):
        breakers = types_pb2.CircuitBreakers(max_connections=1, max_pending_requests=1)
        await give(alb, "small", small.address, breakers=breakers)
        slow = {"host": "small.test", "path": "/slow/2"}
        async with asyncio.TaskGroup() as group:
            first = group.create_task(ask(alb.port, 1, **slow))

            async def taken() -> bool:
                return small.served == 1

            await until(taken)
            rest = [group.create_task(ask(alb.port, 1, **slow)) for _ in range(4)]
        assert Counter(first.result().answers) == {(200, "small"): 1}
        statuses = Counter(status for task in rest for status, _ in task.result().answers)
        assert statuses == {200: 1, 503: 3}  # one waits, the others are refused
        assert await names(alb, "small", 3) == {"small": 3}

        async def counted() -> bool:
            route = (await alb.stub.GetStats(pb.GetStatsRequest())).routes["small"]
            return (route.total_requests, route.failed_requests) == (8, 3)

        await until(counted)


async def test_without_a_budget_nothing_is_retried(alb: Alb) -> None:
    async with serving("alive") as (alive,):
        both = (alive.address, f"127.0.0.1:{free_port()}")
        await give(alb, "budget", *both)
        assert await names(alb, "budget", 60) == {"alive": 60}
        await give(alb, "budget", *both, breakers=types_pb2.CircuitBreakers(retry_percent=0))
        assert set(await names(alb, "budget", 60)) == {"alive", "503"}


# --- who is left out


@asynccontextmanager
async def failing() -> AsyncIterator[str]:
    """The address of a backend that answers 500, whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield f"127.0.0.1:{port}"


async def test_an_endpoint_that_fails_is_left_out(alb: Alb) -> None:
    async with serving("good") as (good,), failing() as bad:
        outliers = types_pb2.OutlierDetection(
            consecutive_errors=3, interval=Duration(nanos=200_000_000), ejection=Duration(seconds=300)
        )
        await give(alb, "outlier", good.address, bad, outliers=outliers)

        async def left_out() -> bool:
            return await names(alb, "outlier", 20) == {"good": 20}

        await until(left_out)

        async def told() -> bool:
            return await health(alb, "outlier") == {good.address: _HEALTHY, bad: _UNHEALTHY}

        await until(told)


# --- who is chosen


async def by_source(port: int, host: str, source: str) -> str:
    """Who answers a client with this address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        return (await reader.read()).rpartition(b"\r\n\r\n")[2].decode()
    finally:
        writer.close()


@pytest.mark.parametrize("table", [types_pb2.HASH_TABLE_RING, types_pb2.HASH_TABLE_MAGLEV])
async def test_a_hash_keeps_clients_where_they_are(alb: Alb, table: types_pb2.HashTable) -> None:
    sources = [f"127.0.0.{number}" for number in range(2, 32)]

    async def chosen() -> dict[str, str]:
        return {source: await by_source(alb.port, "hash.test", source) for source in sources}

    async with serving("one", "two", "three") as (one, two, three):
        options = {"balance": types_pb2.BALANCE_POLICY_SOURCE_HASH, "hash_table": table}
        await give(alb, "hash", one.address, two.address, three.address, **options)
        first = await chosen()
        assert set(first.values()) == {"one", "two", "three"}
        assert await chosen() == first
        await give(alb, "hash", one.address, two.address, **options)
        moved = {source for source, name in (await chosen()).items() if name != first[source]}
        assert moved >= {source for source, name in first.items() if name == "three"}
        # a ring moves nobody else; Maglev disturbs a few
        assert len(moved) < len(sources) * 2 / 3


async def test_a_new_endpoint_starts_slowly(alb: Alb) -> None:
    """The first endpoints start slowly, too, and so share evenly; a later one has a tenth of their share at first."""
    options = {
        "balance": types_pb2.BALANCE_POLICY_ROUND_ROBIN,
        "slow_start": Duration(seconds=2),
    }
    async with serving("old", "new") as (old, new):
        await give(alb, "slow", old.address, **options)
        await asyncio.sleep(2.5)
        loop = asyncio.get_running_loop()
        for _ in range(5):
            began = loop.time()
            await give(alb, "slow", old.address, new.address, **options)
            counted = await names(alb, "slow", 100)
            if loop.time() - began < 0.6:  # a machine that stood still meanwhile shows nothing
                break
            await give(alb, "slow", old.address, **options)
        else:
            pytest.fail("the machine is too slow")
        assert counted["new"] < 35

        async def even() -> bool:
            return abs((await names(alb, "slow", 100))["new"] - 50) < 5

        await until(even)


# --- TLS to the endpoints


class TlsBackend(Backend):
    """A backend with TLS; with `client_ca` it wants a certificate from its clients, too."""

    def __init__(self, name: str, certificate: Path, client_ca: Path | None = None) -> None:
        super().__init__(name)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        if client_ca is not None:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.context)


@asynccontextmanager
async def serving_tls(
    name: str, certificate: Path, client_ca: Path | None = None
) -> AsyncIterator[TlsBackend]:
    backend = TlsBackend(name, certificate, client_ca)
    await backend.start()
    try:
        yield backend
    finally:
        await backend.stop()


async def told(alb: Alb, name: str, words: str) -> None:
    """Wait until the pool, and the health of the module, say this."""

    async def said() -> bool:
        (found,) = (await alb.stub.GetBackends(pb.GetBackendsRequest(names=[name]))).pools
        deep = await alb.stub.HealthCheck(pb.HealthCheckRequest(deep_check=True))
        return words in found.trouble and words in deep.checks[f"pool:{name}"] and words in deep.message

    await until(said)


async def untold(alb: Alb, name: str) -> None:
    """Wait until the pool has no trouble any more."""

    async def silent() -> bool:
        (found,) = (await alb.stub.GetBackends(pb.GetBackendsRequest(names=[name]))).pools
        return not found.trouble

    await until(silent)


async def test_who_signed_is_verified_and_files_are_read_again_on_reload(alb: Alb, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "shop.internal")
    other, ca = make_certificate(tmp_path, "other.internal"), tmp_path / "ca.pem"
    ca.write_bytes(other.read_bytes())
    async with serving_tls("secret", certificate) as secret:
        tls = {"ca": str(ca), "server_name": "shop.internal"}
        alb.write({
            "routes": [{"id": "signed", "hosts": ["signed.test"], "backends": ["signed"]}],
            "pools": [{"name": "signed", "endpoints": [secret.address], "tls": tls}],
        })  # fmt: skip
        assert (await alb.stub.Reload(pb.ReloadRequest())).success
        assert await names(alb, "signed", 3) == {"503": 3}
        await told(alb, "signed", "not signed")
        ca.write_bytes(certificate.read_bytes())
        assert (await alb.stub.Reload(pb.ReloadRequest())).success
        assert await names(alb, "signed", 3) == {"secret": 3}
        await untold(alb, "signed")
        ca.write_text("half writ")
        assert (await alb.stub.Reload(pb.ReloadRequest())).success
        assert await names(alb, "signed", 3) == {"secret": 3}
        await told(alb, "signed", "holds no certificate")
        ca.write_bytes(certificate.read_bytes())
        assert (await alb.stub.Reload(pb.ReloadRequest())).success
        await untold(alb, "signed")


async def test_the_name_is_verified(alb: Alb, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "shop.internal")
    async with serving_tls("secret", certificate) as secret:
        tls = types_pb2.UpstreamTls(ca=str(certificate), server_name="bank.internal")
        await give(alb, "named", secret.address, tls=tls)
        assert await names(alb, "named", 2) == {"503": 2}
        await told(alb, "named", "does not bear the name")
        await give(alb, "named", secret.address, tls=types_pb2.UpstreamTls(insecure=True))
        assert await names(alb, "named", 2) == {"secret": 2}
        # without a name of its own: the host's, which the endpoint is listed by
        local = make_certificate(tmp_path, "localhost")
        async with serving_tls("local", local) as backend:
            tls = types_pb2.UpstreamTls(ca=str(local))
            await give(alb, "named", f"localhost:{backend.port}", tls=tls, version="v2")
            assert await names(alb, "named", 2) == {"local": 2}
            tls = types_pb2.UpstreamTls(ca=str(certificate), server_name="shop.internal")
            await give(alb, "named", f"localhost:{secret.port}", tls=tls)
            assert await names(alb, "named", 2) == {"secret": 2}


async def test_our_own_certificate_is_shown(alb: Alb, tmp_path: Path) -> None:
    certificate, ours = make_certificate(tmp_path, "shop.internal"), make_certificate(tmp_path, "proxy")
    async with serving_tls("closed", certificate, client_ca=ours) as closed:
        tls = types_pb2.UpstreamTls(ca=str(certificate), server_name="shop.internal")
        await give(alb, "mutual", closed.address, tls=tls)
        assert await names(alb, "mutual", 2) == {"503": 2}
        tls.certificate, tls.key = str(ours), str(ours.with_suffix(".key"))
        await give(alb, "mutual", closed.address, tls=tls)
        assert await names(alb, "mutual", 2) == {"closed": 2}


async def test_http2_is_chosen_by_alpn(alb: Alb, tmp_path: Path) -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return request

    certificate = make_certificate(tmp_path, "rpc.internal")
    server = grpc.aio.server()
    handler = {"Once": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("echo.Echo", handler)])
    pair = (certificate.with_suffix(".key").read_bytes(), certificate.read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    try:
        tls = types_pb2.UpstreamTls(ca=str(certificate), server_name="rpc.internal")
        await give(alb, "alpn", f"127.0.0.1:{port}", tls=tls)
        options = [("grpc.default_authority", "alpn.test")]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{alb.port}", options=options) as channel:
            assert await channel.unary_unary("/echo.Echo/Once")(b"hello", timeout=10) == b"hello"
    finally:
        await server.stop(0)


async def test_files_that_are_of_no_use_are_refused(alb: Alb, tmp_path: Path) -> None:
    tls = types_pb2.UpstreamTls(ca=str(tmp_path / "none.pem"), server_name="shop.internal")
    answer = await alb.stub.UpdateBackends(
        pb.UpdateBackendsRequest(pools=[pool("none", "127.0.0.1:80", tls=tls)])
    )
    assert not answer.success
    assert [told.partition(":")[0] for told in answer.validation_errors] == ["pools[0].tls.ca"]
    nameless = pool("none", "127.0.0.1:80", tls=types_pb2.UpstreamTls())
    answer = await alb.stub.UpdateBackends(pb.UpdateBackendsRequest(pools=[nameless]))
    assert "no host name to verify" in answer.error.message


# --- discovery


def seeking(**how: str) -> types_pb2.Discovery:
    return types_pb2.Discovery(interval=Duration(nanos=200_000_000), **how)


async def answered_by(alb: Alb, name: str, wanted: set[str]) -> None:
    """Wait until these and no others answer."""

    async def so() -> bool:
        return set(await names(alb, name, 30)) == wanted

    await until(so)


async def test_endpoints_in_a_file(alb: Alb, tmp_path: Path) -> None:
    async with serving("one", "two", "listed") as (one, two, listed):
        file = tmp_path / "endpoints.yaml"
        file.write_text(f"- {one.address}\n")
        await give(alb, "file", listed.address, discovery=seeking(file=str(file)))
        await answered_by(alb, "file", {"listed", "one"})  # at once: the first look is part of the change
        async with load(alb.port, host="file.test", connections=2) as tally:
            file.write_text(f"- {{address: '{two.address}', weight: 3}}\n- {one.address}\n")
            await answered_by(alb, "file", {"listed", "one", "two"})
            file.write_text("- 127.0.0.1:80\n- {addr")
            await told(alb, "file", "neither JSON nor YAML")
            assert set(await names(alb, "file", 30)) == {"listed", "one", "two"}
            (found,) = (await alb.stub.GetBackends(pb.GetBackendsRequest(names=["file"]))).pools
            assert {item.address for item in found.found} == {one.address, two.address}
            assert [item.address for item in found.endpoints] == [listed.address]
            file.write_text("[]")
            await answered_by(alb, "file", {"listed"})
            await untold(alb, "file")
        assert tally.bad() == []


async def test_endpoints_by_srv_records(alb: Alb, dns_port: int) -> None:
    async with serving("one", "two", "spare") as (one, two, spare):
        service, host = "_http._tcp.shop.internal", "a.shop.internal"
        records: Records = {
            (service, "SRV"): [f"10 1 {one.port} {host}.", f"20 1 {spare.port} {host}."],
            (host, "A"): ["127.0.0.1"],
        }
        async with serving_dns(dns_port, records):
            await give(alb, "srv", discovery=seeking(srv=service))
            await answered_by(alb, "srv", {"one"})  # the spare one is of a later priority
            async with load(alb.port, host="srv.test", connections=2) as tally:
                records[service, "SRV"] = [f"10 1 {one.port} {host}.", f"10 1 {two.port} {host}."]
                await answered_by(alb, "srv", {"one", "two"})
                del records[service, "SRV"]
                await told(alb, "srv", service)
                assert set(await names(alb, "srv", 30)) == {"one", "two"}
                records[service, "SRV"] = [f"0 0 {two.port} {host}.", "0 0 1 gone.internal."]
                await answered_by(alb, "srv", {"two"})
                await told(alb, "srv", "gone.internal")
                records[service, "SRV"] = [f"0 0 {two.port} {host}."]
                await untold(alb, "srv")
            assert tally.bad() == []


async def test_endpoints_by_name(alb: Alb, dns_port: int) -> None:
    """All addresses of a name; the health of an endpoint that is a name is that of the best of them."""
    port = free_port()
    name = f"www.shop.internal:{port}"
    records: Records = {("www.shop.internal", "A"): ["127.0.0.1"]}
    async with serving_dns(dns_port, records), serving("here") as (here,):
        here_too = Backend("there", port=port)
        await here_too.start()
        try:
            await give(alb, "dns", discovery=seeking(dns=name))
            await answered_by(alb, "dns", {"there"})
            records["www.shop.internal", "A"] = ["127.0.0.1", "127.0.0.9"]

            async def both() -> bool:
                (found,) = (await alb.stub.GetBackends(pb.GetBackendsRequest(names=["dns"]))).pools
                return {item.address for item in found.found} == {f"127.0.0.1:{port}", f"127.0.0.9:{port}"}

            await until(both)
            await give(alb, "listed", name, here.address)
            await answered_by(alb, "listed", {"there", "here"})

            async def seen() -> bool:
                return (await health(alb, "listed")) == {name: _HEALTHY, here.address: _HEALTHY}

            await until(seen)
        finally:
            await here_too.stop()


async def test_a_source_that_does_not_answer_holds_nothing_up(alb: Alb) -> None:
    """Nobody answers at the DNS server now; the pool is there with what it lists."""
    async with serving("listed") as (listed,):
        await give(alb, "silent", listed.address, discovery=seeking(srv="_http._tcp.silent.internal"))
        assert await names(alb, "silent", 3) == {"listed": 3}
        await told(alb, "silent", "_http._tcp.silent.internal")
        await give(alb, "silent", listed.address)
        await untold(alb, "silent")
