"""Engines that die, stall or talk nonsense, and clients that hang up."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from bench.support.llm_client import Client, request
from tests.real.ailb_rig import (
    FALLBACKS,
    KEY,
    ailb,
    anthropic_client,
    billed_of,
    document,
    openai_client,
    pool,
)
from tests.real.support.engines import engines
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASK: Any = {"messages": [{"role": "user", "content": "hello, engine"}], "max_tokens": 4}
TEXT = " t0 t1 t2 t3"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    """Engines `good` and `bad`, and two that tests kill, for models of their names: then `good` answers."""
    folder = tmp_path_factory.mktemp("ailb")
    async with (
        engines(folder, "good") as good,
        engines(folder, "bad") as bad,
        engines(folder, "doomed") as doomed,
        engines(folder, "slow", first_ms=60_000) as slow,
    ):
        state = document(good, bad)
        state["pools"] += [pool("doomed", doomed.addresses), pool("slow", slow.addresses)]
        state["routes"][0]["ai"]["models"].append(_before_good("doomed", "sim+stall-2"))
        patient = {"first_byte_timeout": "60s", "models": [_before_good("slow", "sim")]}
        state["routes"].append({"id": "patient", "path": "/patient", "ai": patient})
        async with (
            ailb(folder, state) as gateway,
            openai_client(gateway) as one,
            anthropic_client(gateway) as other,
        ):
            yield SimpleNamespace(
                gateway=gateway, good=good, doomed=doomed, slow=slow, openai=one, anthropic=other
            )


def _before_good(name: str, model: str) -> dict[str, Any]:
    targets = [{"pool": name, "model": model}, {"pool": "good", "model": "sim", "tier": 1}]
    return {"name": name, "targets": targets}


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        *((fault, True) for fault in FALLBACKS),
        *((fault, False) for fault in ("status-500", "reset", "stall")),
    ],
)
async def test_before_the_first_byte_nobody_sees_it(stage: SimpleNamespace, fault: str, stream: bool) -> None:
    asked = await stage.openai.chat.completions.create(model=f"fallback-{fault}", stream=stream, **ASK)
    if stream:
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in asked])
    else:
        said = asked.choices[0].message.content
    assert said == TEXT


@pytest.mark.parametrize("fault", ["reset-2", "eof-2", "cut-2", "error-2"])
async def test_after_the_first_byte_the_client_is_told(stage: SimpleNamespace, fault: str) -> None:
    said = ""
    with pytest.raises(openai.APIError) as raised:  # noqa: PT012 - the stream itself fails
        stream = await stage.openai.chat.completions.create(
            model=f"sim+{fault}", stream=True, user=fault, **ASK
        )
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
    assert not isinstance(raised.value, openai.APIConnectionError)  # an event, and not a broken connection
    assert said == " t0 t1"
    (record,) = await stage.good.requests(fault)
    assert (await billed_of(stage.gateway, record["id"]))["output"] == record["emitted"] == 2


async def test_an_anthropic_client_is_told_in_its_own_words(stage: SimpleNamespace) -> None:
    for model in ("claude+cut-2", "sim+cut-2"):
        said = ""
        with pytest.raises(anthropic.APIStatusError) as raised:  # noqa: PT012 - the stream itself fails
            async with stage.anthropic.messages.stream(model=model, **ASK) as stream:
                async for piece in stream.text_stream:
                    said += piece
        assert said == " t0 t1"
        assert isinstance(raised.value.body, dict)
        assert raised.value.body["type"] == "error"


async def test_an_engine_is_killed(stage: SimpleNamespace) -> None:
    """After its first byte; then it is not there at all, and then it is again."""
    stream = await stage.openai.chat.completions.create(model="doomed", stream=True, user="killed", **ASK)
    said, request_id = "", ""
    with pytest.raises(openai.APIError) as raised:  # noqa: PT012 - the stream itself fails
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
            if said == " t0 t1":
                (record,) = await stage.doomed.requests("killed")
                request_id = record["id"]
                await stage.doomed.kill()
    assert not isinstance(raised.value, openai.APIConnectionError)
    assert (await billed_of(stage.gateway, request_id))["output"] == 2
    answer = await stage.openai.chat.completions.create(model="doomed", **ASK)
    assert answer.choices[0].message.content == TEXT


async def test_an_engine_is_killed_before_it_answers(stage: SimpleNamespace) -> None:
    asked = {**ASK, "model": "slow", "user": "slow"}
    base = f"http://127.0.0.1:{stage.gateway.port}/patient/v1"
    async with openai_client(stage.gateway, base_url=base) as client, asyncio.TaskGroup() as group:
        answers = [group.create_task(_read(client, **asked, stream=stream)) for stream in (True, False)]

        async def both() -> bool:
            return len(await stage.slow.requests("slow")) == 2

        await until(both)
        await stage.slow.kill()
    assert [answer.result() for answer in answers] == [TEXT, TEXT]


async def _read(client: openai.AsyncOpenAI, **asked: Any) -> str:
    answer = await client.chat.completions.create(**asked)
    if not asked["stream"]:
        return str(answer.choices[0].message.content)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])


@pytest.mark.busy
@pytest.mark.parametrize("model", ["sim", "quick", "claude"])
async def test_a_client_hangs_up_and_the_engine_stops(stage: SimpleNamespace, model: str) -> None:
    """Within 100 ms, seen from the client: the best of a few, since others use the machine."""
    await stage.good.tell(token_ms=10)
    body = {"model": model, "stream": True, "max_tokens": 2000, "messages": ASK["messages"]}
    took = []
    try:
        for attempt in range(5):
            tag = f"hang-up-{model}-{attempt}"
            client = Client(stage.gateway.port)
            data = request("/v1/chat/completions", {**body, "user": tag}, {"authorization": f"Bearer {KEY}"})
            await client.ask(data, leave_at=b' t3"')
            left = time.monotonic()
            client.close()

            async def stopped(tag: str = tag) -> bool:
                (record,) = await stage.good.requests(tag)
                return record["ended"] == "gone"

            await until(stopped)
            (record,) = await stage.good.requests(tag)
            took.append(record["ended_at"] - left)
            if model != "quick":
                entry = await billed_of(stage.gateway, record["id"])
                assert (
                    4 <= entry["output"] <= record["emitted"] <= entry["output"] + 2
                )  # what was still on its way
    finally:
        await stage.good.tell(token_ms=0)
    assert min(took) < 0.1, took
