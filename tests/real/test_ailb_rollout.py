"""Versions of a model's pools through a real AILB: shares by hand, promoted step by step, rolled back by what engines do; and
what it says of pools that it is asked about."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from bench.support.llm_client import Client, request
from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.ports import free_port
from tests.real.ailb_rig import KEY, ailb, key, pool
from tests.real.support.engines import Engines, engines
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NVML = Path(__file__).parent / "support" / "nvml"
STEPS = (30, 100)
ASK = {"model": "sim", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}


def document(old: Engines, new: Engines, shut: Engines, folder: Path) -> dict[str, Any]:
    """A model with a pool of version v1, one of v2 without a share, and a third that is asked when both fail.

    The pool of `pair` is both engines; that of `gone` is not there. `listed` and `refused` are pools that no model has, one with a
    credential that does not do.
    """
    (folder / "right").write_text("right")
    (folder / "wrong").write_text("wrong")
    shares = [{"pool": "old", "weight": 100}, {"pool": "new", "weight": 0}, {"pool": "last", "tier": 1}]
    models = [
        {"name": "sim", "targets": shares},
        {"name": "pair", "targets": ["pair"]},
        {"name": "gone", "targets": ["gone"]},
    ]
    return {
        "pools": [
            pool("old", old.addresses) | {"version": "v1"},
            pool("new", new.addresses) | {"version": "v2"},
            pool("last", old.addresses) | {"version": "v1"},
            pool("pair", [*old.addresses, *new.addresses]),
            pool("gone", [f"127.0.0.1:{free_port()}"]),
            pool("listed", shut.addresses, "openai_compatible", credential=str(folder / "right")),
            pool("refused", shut.addresses, "openai_compatible", credential=str(folder / "wrong")),
        ],
        "routes": [{"id": "llm", "path": "/", "ai": {"models": models}}],
        "virtual_keys": [key("main", KEY)],
    }


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def canary(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    """Its engines `old` and `new`; `gpus`: the file that says how GPUs are."""
    folder = tmp_path_factory.mktemp("rollout")
    async with (
        engines(folder, "old") as old,
        engines(folder, "new") as new,
        engines(folder, "shut", key="right") as shut,
    ):
        gpus = folder / "gpus"
        say(gpus, new, lost=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NVML_TABLE", str(gpus))
            patch.setenv("PYTHONPATH", str(NVML), prepend=os.pathsep)
            async with ailb(folder, document(old, new, shut, folder), metrics_interval=0.2) as gateway:
                yield SimpleNamespace(gateway=gateway, stub=gateway.stub, old=old, new=new, gpus=gpus)


def say(gpus: Path, user: Engines, *, lost: bool) -> None:
    """There is one GPU, which `user` computes on."""
    written = gpus.with_suffix(".new")
    written.write_text(json.dumps({"GPU-0": {"lost": lost, "pids": [user.pid]}}))
    written.replace(gpus)


@asynccontextmanager
async def clients(canary: SimpleNamespace) -> AsyncIterator[list[int]]:
    """Four that ask one request after the other for the length of the block, half of them for streams; what they are answered."""
    statuses: list[int] = []

    async def ask(*, stream: bool) -> None:
        client = Client(canary.gateway.port)
        data = request("/v1/chat/completions", {**ASK, "stream": stream}, {"authorization": f"Bearer {KEY}"})
        try:
            while True:
                statuses.append((await client.ask(data)).status)
                await asyncio.sleep(0.005)
        finally:
            client.close()

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask(stream=bool(number % 2))) for number in range(4)]
        try:
            yield statuses
        finally:
            for task in asking:
                task.cancel()


async def promote(canary: SimpleNamespace) -> None:
    limits = types_pb2.RolloutAnalysis(interval=Duration(seconds=1), min_requests=10, max_error_percent=5)
    wanted = pb.PromoteVersionRequest(version="v2", steps=STEPS, route_id="llm", analysis=limits)
    answer = await canary.stub.PromoteVersion(wanted, timeout=10)
    assert answer.success, answer


async def active(canary: SimpleNamespace) -> pb.GetActiveVersionResponse:
    return await canary.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id="llm"), timeout=10)


async def weights(canary: SimpleNamespace) -> dict[str, int]:
    return dict((await active(canary)).version_weights)


async def ended(canary: SimpleNamespace) -> types_pb2.RolloutStatus:
    async def over() -> bool:
        (rollout,) = (await active(canary)).rollouts
        return rollout.phase != "ramping"

    await until(over, within=40)
    (rollout,) = (await active(canary)).rollouts
    return rollout


async def asked(engines: Engines) -> int:
    return len(await engines.requests())


async def test_a_version_has_the_share_that_it_is_given(canary: SimpleNamespace) -> None:
    wanted = pb.SetTrafficWeightRequest(version="v2", weight=10, route_id="llm")
    answer = await canary.stub.SetTrafficWeight(wanted, timeout=10)
    assert answer.success, answer
    assert await weights(canary) == {"v1": 90, "v2": 10}
    old, new = await asked(canary.old), await asked(canary.new)
    async with clients(canary) as statuses:
        await until(lambda: len(statuses) >= 400)
    assert set(statuses) == {200}
    old, new = await asked(canary.old) - old, await asked(canary.new) - new
    assert 0.02 < new / (new + old) < 0.22  # of 400: 5 standard deviations below, 8 above


async def test_one_that_serves_is_promoted_and_rolled_back_by_hand(canary: SimpleNamespace) -> None:
    async with clients(canary) as statuses:
        await promote(canary)
        rollout = await ended(canary)
        assert rollout.phase == "promoted", rollout
        before = await asked(canary.old)
        seen = len(statuses)
        await until(lambda: len(statuses) >= seen + 50)
        assert await asked(canary.old) - before <= 10  # those that were under way
    assert set(statuses) == {200}
    assert [each.percent_after for each in rollout.decisions if each.verdict == "advanced"] == list(STEPS)
    assert await weights(canary) == {"v1": 0, "v2": 100}
    answer = await canary.stub.Rollback(pb.RollbackRequest(route_id="llm"), timeout=10)
    assert answer.success, answer
    assert await weights(canary) == {"v1": 100, "v2": 0}


async def test_one_that_fails_is_rolled_back_though_no_client_sees_it(canary: SimpleNamespace) -> None:
    await canary.new.tell(fault="status-500")
    async with clients(canary) as statuses:
        await promote(canary)
        rollout = await ended(canary)
    assert set(statuses) == {200}
    assert rollout.phase == "rolled_back", rollout
    last = rollout.decisions[-1]
    assert last.canary.failures == last.canary.requests >= 3
    assert last.baseline.failures == 0
    assert await weights(canary) == {"v1": 100, "v2": 0}


async def test_a_deep_check_asks_each_pool_as_requests_would(canary: SimpleNamespace) -> None:
    answer = await canary.stub.HealthCheck(pb.HealthCheckRequest(deep_check=True), timeout=10)
    checks = answer.checks
    for name in ("old", "new", "last"):
        assert re.search(r"GET /health answered 200 in \d+\.\d ms$", checks[f"pool:{name}"]), checks
    assert "GET /v1/models answered 200 in" in checks["pool:listed"]
    assert checks["pool:refused"].endswith("see the pool's credential")
    assert "GET /health answered 503" in checks["pool:gone"]
    assert answer.status == types_pb2.HEALTH_STATUS_DEGRADED
    assert "pool refused: GET /v1/models answered 401" in answer.message


async def test_a_model_without_an_endpoint_that_may_be_asked_is_not_handled(canary: SimpleNamespace) -> None:
    (route,) = (await canary.stub.GetRoutes(pb.GetRoutesRequest(), timeout=10)).routes
    client = Client(canary.gateway.port)
    failing = request("/v1/chat/completions", {**ASK, "model": "gone"}, {"authorization": f"Bearer {KEY}"})

    async def asked_of(model: str) -> pb.CanHandleResponse:
        wanted = pb.CanHandleRequest(route=route, context={"model": model})
        return await canary.stub.CanHandle(wanted, timeout=10)

    reasons: list[str] = []

    async def refused() -> bool:
        await client.ask(failing)
        answer = await asked_of("gone")
        reasons.append(answer.reason)
        return not answer.can_handle

    try:
        assert (await asked_of("gone")).can_handle
        await until(refused)
    finally:
        client.close()
    assert "pool gone: 127.0.0.1:" in reasons[-1]
    assert "because it failed" in reasons[-1]
    assert (await asked_of("sim")).can_handle
    assert not (await asked_of("unknown")).can_handle


async def test_an_endpoint_whose_gpu_is_lost_is_asked_no_more_until_it_is_back(
    canary: SimpleNamespace,
) -> None:
    await canary.new.tell(fault="")
    client = Client(canary.gateway.port)
    data = request("/v1/chat/completions", {**ASK, "model": "pair"}, {"authorization": f"Bearer {KEY}"})

    async def gpus() -> str:
        answer = await canary.stub.HealthCheck(pb.HealthCheckRequest(), timeout=10)
        return str(answer.checks["gpus"])

    async def says(words: str) -> bool:
        return await gpus() == words

    async def reaches_new(requests: int = 10) -> bool:
        before = await asked(canary.new)
        assert {(await client.ask(data)).status for _ in range(requests)} == {200}
        return await asked(canary.new) > before

    async def leaves_new() -> bool:
        return not await reaches_new()

    (address,) = canary.new.addresses
    try:
        await until(lambda: says("ok"))
        await until(reaches_new)
        say(canary.gpus, canary.new, lost=True)
        await until(lambda: says(f"not asked: {address}: GPU 0 (GPU-0) is lost"))
        await until(leaves_new)
        assert not await reaches_new(30)
        say(canary.gpus, canary.new, lost=False)
        await until(lambda: says("ok"))
        await until(reaches_new)
    finally:
        client.close()
