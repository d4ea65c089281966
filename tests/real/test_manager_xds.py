"""The manager as the control plane of others: an Envoy, a gRPC client, and an ALB whose Envoy takes its resources there."""

from contextlib import asynccontextmanager

import httpx

from tests.ports import free_port
from tests.real.support.manager import Alone, manager_alone, visitor
from tests.real.test_xds_service import until_all
from tests.real.xds_rig import ask, backend, running_envoy
from tests.real.xds_service_rig import grpc_client, namer


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
                # a document that nodes could not be given is nowhere, and its author is told why
                token = {"name": "token", "type": "basic", "users_file": "/nowhere"}
                answer = await admin.put("/api/v1/routes/web", json={"id": "web", "path_regex": "("})
                assert answer.status_code in {409, 422}, (token, answer.text)
                assert alone.process is not None
                await alone.process.end()
                assert set(await ask(listening, 20)) == {"new"}
                assert set(await client.call(20)) == {"two"}
                await alone.launch()
                async with admin_of(alone) as again:
                    await put(again, "pools/web", name="web", endpoints=[f"127.0.0.1:{old}"])
                await until_all("old", lambda: ask(listening, 5))
