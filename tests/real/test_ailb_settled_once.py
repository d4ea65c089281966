"""Each request is settled once, and holds its seat no longer than it lasts: a decider that is killed, clients that do not wait."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from types import SimpleNamespace

import psutil
import pytest
import pytest_asyncio

from bench.support.llm_client import Client, request
from tests.real.ailb_rig import KEY, ailb, billed, document, key
from tests.real.support.alb import Alb
from tests.real.support.engines import engines
from tests.real.support.process import naming
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEATED, SEATS = "mp-seated-0000000000000000", 4
STREAMS, DIRECT, AT_ONCE = 1500, 500, 40


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("ailb")
    async with engines(folder, "good", count=2) as good, engines(folder, "bad") as bad:
        state = document(good, bad, queue={"size": 50, "wait": 30}, first_byte_timeout="60s")
        state["virtual_keys"].append(key("seated", SEATED))
        state["allowances"] = [{"id": "seats", "target": "key:seated", "concurrent": SEATS}]
        async with ailb(folder, state) as gateway:
            yield SimpleNamespace(gateway=gateway, good=good)


def chat(tag: str, secret: str = KEY, *, tokens: int = 3, stream: bool = False) -> bytes:
    body = {"model": "sim", "user": tag, "max_tokens": tokens, "messages": [{"role": "user", "content": tag}]}
    return request("/v1/chat/completions", body | {"stream": stream}, {"authorization": f"Bearer {secret}"})


async def test_who_does_not_wait_for_the_decision_leaves_no_seat_taken(stage: SimpleNamespace) -> None:
    dice = random.Random(6)

    async def leave(number: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", stage.gateway.port)
        writer.write(chat(f"left{number}", SEATED, stream=number % 2 == 0))
        await asyncio.sleep(dice.random() * 0.01)
        writer.transport.abort()

    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(leave(number))

    async def all_seats_are_free() -> bool:
        client = Client(stage.gateway.port)
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(client.ask(chat("seated", SEATED))) for _ in range(SEATS)]
            return [task.result().status for task in asked] == [200] * SEATS
        finally:
            client.close()

    await until(all_seats_are_free)


async def test_a_decider_that_takes_over_knows_who_sits(stage: SimpleNamespace) -> None:
    await stage.good.tell(token_ms=20)
    client = Client(stage.gateway.port)

    async def sit(number: int) -> None:
        """A seat of a request that has been answered is free a little later."""
        while (await client.ask(chat(f"sits{number}", SEATED, tokens=10_000, stream=True))).status == 429:
            await asyncio.sleep(0.02)

    async def nobody_else_may() -> bool:
        return (await client.ask(chat("stands", SEATED))).status == 429

    try:
        async with asyncio.TaskGroup() as group:
            sitting = [group.create_task(sit(number)) for number in range(SEATS)]
            await until(lambda: _are_writing(stage, SEATS))
            _decider(stage.gateway).send_signal(signal.SIGKILL)
            await until(nobody_else_may)
            for task in sitting:
                assert task.cancel()
    finally:
        client.close()
        await stage.good.tell(token_ms=0)


async def _are_writing(stage: SimpleNamespace, count: int) -> bool:
    """So many have begun."""
    found = [record for record in await stage.good.requests() if record["tag"].startswith("sits")]
    return len([record for record in found if record["emitted"]]) == count


async def test_a_decider_is_killed_and_each_request_is_settled_once(stage: SimpleNamespace) -> None:
    """Those that relays carry, who tell it again, and those that go past them, which Envoy has written down."""
    await stage.good.tell(forget=True, token_ms=1)
    asked = [("stream", number) for number in range(STREAMS)] + [
        ("direct", number) for number in range(DIRECT)
    ]
    random.Random(6).shuffle(asked)
    done = Counter[int]()
    rest = iter(asked)

    async def work(client: Client) -> None:
        for kind, number in rest:
            answer = await client.ask(chat(f"{kind}{number}", stream=kind == "stream"))
            done[answer.status] += 1

    async def kill(at: int) -> None:
        await until(lambda: done.total() >= at, 60)
        _decider(stage.gateway).send_signal(signal.SIGKILL)

    client = Client(stage.gateway.port)
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work(client))
        group.create_task(kill(len(asked) // 3))
    client.close()
    assert done == {200: len(asked)}

    emitted = {
        record["id"]: record["emitted"]
        for record in await stage.good.requests()
        if record["tag"].startswith(("stream", "direct"))
    }
    assert len(emitted) == STREAMS + DIRECT

    def settled() -> list[str]:
        return [entry["request_id"] for entry in billed(stage.gateway)]

    await until(lambda: emitted.keys() <= set(settled()), 40)
    assert Counter(settled()).most_common(1)[0][1] == 1
    outputs = {entry["request_id"]: entry["output"] for entry in billed(stage.gateway)}
    assert {name: outputs[name] for name in emitted} == emitted


def _decider(gateway: Alb) -> psutil.Process:
    (found,) = [
        process
        for process in naming(gateway.directory)
        if any("modules.ailb.worker" in word for word in process.info["cmdline"])
    ]
    return found
