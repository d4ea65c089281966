"""The manager as the control plane of others: an Envoy, a gRPC client, and an ALB whose Envoy takes its resources there."""

import json
import signal
from contextlib import asynccontextmanager, suppress

import grpc.aio
import httpx

from marchproxy.contract.pb import module_pb2, module_pb2_grpc, types_pb2
from tests.ports import free_port
from tests.real.support.alb import Alb
from tests.real.support.certificates import make_certificate
from tests.real.support.manager import Alone, manager_alone, visitor
from tests.real.support.system import System
from tests.real.support.waiting import until
from tests.real.test_xds_service import document, until_all
from tests.real.xds_rig import ask, backend, running_envoy
from tests.real.xds_service_rig import Service, grpc_client, namer


def served_at(port: int) -> dict:
    return {"grpc": f"127.0.0.1:{port}", "status": None, "push_interval": 0.1}


@asynccontextmanager
async def admin_of(alone: Alone):
    """Somebody who may do everything, over REST."""
    key = (alone.home / "local.key").read_text().strip()
    async with visitor(alone.url, headers={"authorization": f"Bearer {key}"}) as found:
        yield found.http


async def put(admin: httpx.AsyncClient, path: str, **item) -> None:
    answer = await admin.put(f"/api/v1/{path}", json=item)
    assert answer.is_success, answer.text


async def test_an_envoy_and_a_grpc_client_follow_revisions(tmp_path):
    async with namer("one") as one, namer("two") as two, backend("old") as old, backend("new") as new:
        port, listening = free_port(), free_port()
        manager = manager_alone(tmp_path, xds=served_at(port))
        async with manager as alone, admin_of(alone) as admin:
            await put(admin, "listeners/web", name="web", address=f"127.0.0.1:{listening}")
            for name, kind, address in (("rpc", "grpc", one), ("web", "http", old)):
                endpoints = [f"127.0.0.1:{address}"]
                await put(admin, f"pools/{name}", name=name, protocol=kind, endpoints=endpoints)
            await put(admin, "routes/rpc", id="rpc", hosts=["rpc.example"], backends=[{"pool": "rpc"}])
            await put(admin, "routes/web", id="web", backends=[{"pool": "web"}])
            async with (
                running_envoy(tmp_path, port, "DELTA_GRPC"),
                grpc_client(tmp_path, port, "xds:///rpc.example", {"id": "caller"}) as client,
            ):
                await until_all("one", lambda: client.call(5))
                await until_all("old", lambda: ask(listening, 5))
                for name, kind, address in (("rpc", "grpc", two), ("web", "http", new)):
                    endpoints = [f"127.0.0.1:{address}"]
                    await put(admin, f"pools/{name}", name=name, protocol=kind, endpoints=endpoints)
                await until_all("two", lambda: client.call(5))
                await until_all("new", lambda: ask(listening, 5))


async def test_an_alb_takes_what_it_serves_from_the_manager(tmp_path):
    async with backend("old") as old, backend("new") as new:
        port = free_port()
        state = {
            "routes": [{"id": "web", "backends": ["web"]}],
            "pools": [{"name": "web", "endpoints": [f"127.0.0.1:{old}"]}],
        }
        # they know each other by certificates, and of two servers the first is not there
        certificate = make_certificate(tmp_path, "localhost")
        pair = {"cert": str(certificate), "key": str(certificate.with_suffix(".key"))}
        servers = [f"localhost:{free_port()}", f"localhost:{port}"]
        own = {"xds_server": servers, "xds_tls": {"ca": str(certificate), **pair}}
        system = System(tmp_path, state, {"alb-1": "v1"}, {}, own)
        plane = {**served_at(port), "tls": {"client_ca": str(certificate), **pair}}
        alone = Alone(tmp_path, xds=plane, nlbs=[f"127.0.0.1:{system.nlb.grpc}"])
        alone.file.write_text(json.dumps({**json.loads(alone.file.read_text()), **system.state()}))
        try:
            await alone.launch()
            await system.start()
            await until_all("old", lambda: ask(system.port, 5))
            async with admin_of(alone) as admin:
                await put(admin, "pools/web", name="web", endpoints=[f"127.0.0.1:{new}"])
                await until_all("new", lambda: ask(system.port, 5))
                await until(lambda: is_current(admin, "alb-1"))
            await refuses_changes(system)
            assert alone.process is not None
            alone.process.send(signal.SIGKILL)
            await alone.process.ended(20)
            await says(system, "is away")
            assert set(await ask(system.port, 20)) == {"new"}
            await alone.launch()
            await says(system, "serving")
            async with admin_of(alone) as admin:
                await put(admin, "pools/web", name="web", endpoints=[f"127.0.0.1:{old}"])
                await until_all("old", lambda: ask(system.port, 5))
        finally:
            if alone.process is not None:
                await alone.process.end()
            await system.close()


async def test_an_alb_its_envoy_and_their_server_come_and_go_in_any_order(tmp_path):
    async with backend("v1") as v1, backend("v2") as v2:
        ports, folder = {"v1": v1, "v2": v2}, tmp_path / "x"
        folder.mkdir()
        service = Service(folder, document("http", ports, {"v1": 100, "v2": 0}))
        alb = Alb(tmp_path, {}, xds_server=f"127.0.0.1:{service.port}")
        try:
            await alb.launch()
            await until(lambda: is_ready(alb, 503), within=40)  # there is nobody who could give it anything
            async with service.running():
                await until(lambda: is_ready(alb, 200))
                await until_all("v1", lambda: ask(alb.port, 3))
                async with grpc.aio.insecure_channel(f"127.0.0.1:{alb.grpc}") as channel:
                    stub = module_pb2_grpc.ModuleServiceStub(channel)
                    renewed = await stub.Reload(module_pb2.ReloadRequest(graceful=True), timeout=60)
                assert renewed.success, renewed
                assert "Envoy was restarted" in renewed.message
                assert set(await ask(alb.port, 20)) == {"v1"}
                await alb.kill()
                service.write(document("http", ports, {"v1": 0, "v2": 100}))
                await until_all("v2", lambda: ask(alb.port, 3))  # its Envoy needs the server, and no ALB
                envoys = alb.envoys()
                await alb.start()
                assert set(alb.envoys()) <= set(envoys)
                assert set(await ask(alb.port, 20)) == {"v2"}
        finally:
            await alb.close()


async def is_ready(alb: Alb, status: int) -> bool:
    """Whether its /readyz answers so."""
    async with httpx.AsyncClient(trust_env=False) as client:
        with suppress(httpx.TransportError):
            return (await client.get(f"http://127.0.0.1:{alb.health}/readyz")).status_code == status
    return False


async def is_current(admin: httpx.AsyncClient, name: str) -> bool:
    """Whether the part reports what is in force."""
    answer = await admin.get(f"/api/v1/instances/{name}")
    return answer.is_success and answer.json()["is_current"]


async def says(system: System, words: str) -> None:
    """Wait until the ALB says so of its health."""
    stub = system.alb_stub()

    async def told() -> bool:
        return words in (await stub.GetStatus(module_pb2.GetStatusRequest(), timeout=20)).message

    await until(told)


async def refuses_changes(system: System) -> None:
    """Whatever would change what it serves is refused, with who is to be asked; looking is not."""
    stub, instead = system.alb_stub(), "the central xDS server localhost:"
    route = types_pb2.Route(
        route_id="web", path_pattern="/", backends=[types_pb2.BackendRef(pool="web", weight=100)]
    )
    limit = types_pb2.RateLimit(limit_id="web", target="web", requests_per_second=1)
    for answer in (
        await stub.UpdateRoutes(
            module_pb2.UpdateRoutesRequest(routes=[route], validate_only=True), timeout=20
        ),
        await stub.DeleteRoute(module_pb2.DeleteRouteRequest(route_id="web"), timeout=20),
        await stub.UpdateBackends(
            module_pb2.UpdateBackendsRequest(pools=[types_pb2.BackendPool(name="web")]), timeout=20
        ),
        await stub.SetRateLimit(module_pb2.SetRateLimitRequest(limit=limit), timeout=20),
        await stub.ApplyRateLimit(
            module_pb2.ApplyRateLimitRequest(route_id="web", requests_per_second=1, enabled=True), timeout=20
        ),
        await stub.RemoveRateLimit(module_pb2.RemoveRateLimitRequest(limit_id="web"), timeout=20),
        await stub.SetTrafficWeight(module_pb2.SetTrafficWeightRequest(version="v1", weight=100), timeout=20),
        await stub.PromoteVersion(module_pb2.PromoteVersionRequest(version="v1", immediate=True), timeout=20),
        await stub.Rollback(module_pb2.RollbackRequest(target_version="v1"), timeout=20),
    ):
        assert not answer.success
        assert instead in answer.message, answer
        assert answer.error.code == types_pb2.STATUS_CODE_PERMISSION_DENIED
    routes = await stub.GetRoutes(module_pb2.GetRoutesRequest(), timeout=20)
    assert [one.route_id for one in routes.routes] == ["web"]
    pools = (await stub.GetBackends(module_pb2.GetBackendsRequest(), timeout=20)).pools
    assert [one.endpoints[0].health_status for one in pools] == [types_pb2.HEALTH_STATUS_HEALTHY]
