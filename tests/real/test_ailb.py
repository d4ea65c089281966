"""`marchproxy ailb` before simulated engines: what Envoy, the decider and the relays make of a request together."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.real.ailb_rig import KEY, ailb, billed_of, key, pool
from tests.real.support.alb import Alb
from tests.real.support.engines import Engines, engines
from tests.real.support.process import naming
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "provider-secret"
ASK: Any = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
DECIDER, RELAY = "marchproxy.modules.ailb.worker", "marchproxy.modules.ailb.relay"


def document(first: Engines, second: Engines, folder: Path) -> dict[str, Any]:
    """`sim` is the first's, and the second's when that fails; `direct` the same past the relays, `plain` without a credential."""
    (folder / "key").write_text(f"{SECRET}\n")
    direct = {"in_band_errors": False}
    return {
        "routes": [
            {
                "id": "llm",
                "path": "/v1",
                "ai": {
                    "models": [
                        {
                            "name": "sim*",
                            "targets": [{"pool": "first"}, {"pool": "second", "tier": 1, "model": "sim-2"}],
                        },
                        {
                            "name": "direct",
                            "targets": [
                                {"pool": "direct-1", "model": "sim-1"},
                                {"pool": "direct-2", "tier": 1, "model": "sim-the-second"},
                            ],
                        },
                    ],
                    "first_byte_timeout": 5,
                    "max_body_bytes": 100_000,
                },
            }
        ],
        "pools": [
            pool("first", first.addresses, credential=str(folder / "key")),
            pool("second", second.addresses),
            pool("direct-1", first.addresses, credential=str(folder / "key"), **direct),
            pool("direct-2", second.addresses, **direct),
        ],
        "virtual_keys": [key("main", KEY)],
    }


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("ailb")
    async with (
        engines(folder, "first") as first,
        engines(folder, "second") as second,
        ailb(folder, document(first, second, folder), relays=2) as gateway,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{gateway.port}",
            headers={"authorization": f"Bearer {KEY}"},
            trust_env=False,
            timeout=30,
        ) as client,
    ):
        yield SimpleNamespace(gateway=gateway, first=first, second=second, client=client)


async def ask(world: SimpleNamespace, tag: str, **fields: Any) -> httpx.Response:
    body = {"model": "sim", "user": tag, **ASK, **fields}
    answer: httpx.Response = await world.client.post("/v1/chat/completions", json=body)
    return answer


@pytest.mark.parametrize("model", ["sim", "direct"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_sees_its_own_key_and_never_the_client_s(
    world: SimpleNamespace, model: str, stream: bool
) -> None:
    tag = f"credential-{model}-{stream}"
    answer = await ask(world, tag, model=model, stream=stream)
    assert answer.status_code == 200, answer.text
    (record,) = await world.first.requests(tag)
    assert record["credential"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("model", ["sim", "direct"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_pool_answers_when_the_first_does_not(
    world: SimpleNamespace, model: str, stream: bool
) -> None:
    """It is asked by its own name of the model, which is longer, and is not shown the first one's credential."""
    tag = f"fallback-{model}-{stream}"
    await world.first.tell(fault="status-503", times=1)
    answer = await ask(world, tag, model=model, stream=stream)
    assert answer.status_code == 200, answer.text
    (record,) = await world.second.requests(tag)
    assert record["credential"] == ""
    assert record["model"] == ("sim-2" if model == "sim" else "sim-the-second")


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (
            {"headers": {"authorization": "Bearer nobody-s"}, "json": {"model": "sim", **ASK}},
            401,
            "invalid_api_key",
        ),
        ({"json": {"model": "unknown", **ASK}}, 404, "model_not_found"),
        ({"content": b'{"model": "sim", '}, 400, None),
        ({"content": b"x" * 100_001}, 413, "request_too_large"),
        ({"content": b"x", "headers": {"content-encoding": "gzip"}}, 415, None),
    ],
)
async def test_what_is_refused_is_refused_in_the_words_of_the_api(
    world: SimpleNamespace, request_: dict[str, Any], status: int, code: str | None
) -> None:
    answer = await world.client.post("/v1/chat/completions", **request_)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["message"]

    answer = await world.client.post("/v1/messages", **request_)
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["message"]


async def test_headers_of_ours_are_not_a_client_s_to_send(world: SimpleNamespace) -> None:
    lies = {
        "x-ai-route": "other",
        "x-ai-pools": "x",
        "x-ai-host": world.second.addresses[0],
        "x-ai-path": "/etc",
    }
    body = {"model": "sim", "user": "lies", **ASK}
    answer = await world.client.post("/v1/chat/completions", json=body, headers=lies)
    assert answer.status_code == 200, answer.text
    assert len(await world.first.requests("lies")) == 1


async def test_models_are_listed(world: SimpleNamespace) -> None:
    answer = await world.client.get("/v1/models")
    assert [model["id"] for model in answer.json()["data"]] == ["direct"]
    assert (await world.client.get("/elsewhere")).json()["error"]["message"]


@pytest.mark.parametrize("model", ["sim", "direct"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_it_cost_is_known(world: SimpleNamespace, model: str, stream: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    tag = f"cost-{model}-{stream}"
    answer = await ask(world, tag, model=model, stream=stream, **options)
    assert answer.status_code == 200, answer.text
    (record,) = await world.first.requests(tag)
    entry = await billed_of(world.gateway, answer.headers["x-request-id"])
    assert (entry["output"], entry["ended"], entry["counted"]) == (record["emitted"], "complete", True)


def processes(gateway: Alb, module: str) -> list[psutil.Process]:
    return [one for one in naming(gateway.directory) if one.info["cmdline"][1:3] == ["-m", module]]


async def test_a_decider_that_is_killed_costs_no_request(world: SimpleNamespace) -> None:
    async def one(number: int) -> int:
        answer = await ask(world, "killed", stream=bool(number % 2), model=("sim", "direct")[number % 4 > 1])
        return answer.status_code

    (before,) = processes(world.gateway, DECIDER)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(one(number)) for number in range(8)]
        before.kill()
        asked += [group.create_task(one(number)) for number in range(8)]
    assert {task.result() for task in asked} == {200}
    (now,) = processes(world.gateway, DECIDER)
    assert now.pid != before.pid


async def test_a_relay_that_is_killed_costs_no_new_request(world: SimpleNamespace) -> None:
    before, other = processes(world.gateway, RELAY)
    before.kill()
    answers = [await ask(world, "killed", stream=True) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {200}
    await until(lambda: len(processes(world.gateway, RELAY)) == 2)
    assert before.pid not in {one.pid for one in processes(world.gateway, RELAY)}
    assert other.is_running()


async def test_a_change_is_in_force_when_its_call_returns(world: SimpleNamespace) -> None:
    stub = world.gateway.stub
    added = types_pb2.BackendPool(
        name="added", endpoints=[types_pb2.BackendEndpoint(address=world.second.addresses[0])]
    )
    added.ai.SetInParent()
    assert (await stub.UpdateBackends(pb.UpdateBackendsRequest(pools=[added]))).success
    (route,) = (await stub.GetRoutes(pb.GetRoutesRequest())).routes
    model = route.ai.models.add(name="new")
    model.targets.add(pool="added", weight=100)
    answer = await stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=[route]))
    assert answer.success, answer
    assert (await ask(world, "changed", model="new")).status_code == 200
    assert len(await world.second.requests("changed")) == 1


async def test_another_ailb_adopts_what_a_killed_one_left(world: SimpleNamespace) -> None:
    """Requests are answered while there is none, and limits are where they were."""
    gateway = world.gateway
    left = [one.pid for module in (DECIDER, RELAY) for one in processes(gateway, module)]
    await gateway.kill()
    assert (await ask(world, "orphan")).status_code == 200
    await gateway.start()
    assert [one.pid for module in (DECIDER, RELAY) for one in processes(gateway, module)] == left
    assert (await ask(world, "adopted")).status_code == 200
