"""The simulated engine, judged by the clients that it is meant for: what it says is what the real ones say."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

from tests.real.support.engines import Engines, engines
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASK: dict[str, Any] = {"model": "sim", "messages": [{"role": "user", "content": "hello, engine"}]}
WEATHER = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Place(BaseModel):
    name: str
    height: float
    near: list[str]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    async with engines(tmp_path_factory.mktemp("engine")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def openai_client(engine: Engines) -> AsyncIterator[openai.AsyncOpenAI]:
    base = f"http://{engine.addresses[0]}/v1"
    async with openai.AsyncOpenAI(api_key="k", base_url=base, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def anthropic_client(engine: Engines) -> AsyncIterator[anthropic.AsyncAnthropic]:
    base = f"http://{engine.addresses[0]}"
    async with anthropic.AsyncAnthropic(api_key="k", base_url=base, max_retries=0) as client:
        yield client


async def test_chat(engine: Engines, openai_client: openai.AsyncOpenAI) -> None:
    answer = await openai_client.chat.completions.create(**ASK, max_tokens=5, user="chat")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (
        " t0 t1 t2 t3 t4",
        "length",
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    (record,) = await engine.requests("chat")
    assert (record["emitted"], record["ended"]) == (5, "done")


async def test_streams(openai_client: openai.AsyncOpenAI) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 3}
    chunks = [chunk async for chunk in await openai_client.chat.completions.create(**ASK, **options)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == " t0 t1 t2"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    async with openai_client.responses.stream(model="sim", input="hello", max_output_tokens=4) as stream:
        whole = await stream.get_final_response()
    assert (whole.output_text, whole.usage and whole.usage.output_tokens) == (" t0 t1 t2 t3", 4)


async def test_tools_and_shapes(openai_client: openai.AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", "function": WEATHER}]
    answer = await openai_client.chat.completions.create(**ASK, tools=tools)
    (call,) = answer.choices[0].message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "text"}')
    parsed = await openai_client.chat.completions.parse(**ASK, response_format=Place)
    assert parsed.choices[0].message.parsed == Place(name="text", height=0.5, near=["text"])


async def test_other_operations(openai_client: openai.AsyncOpenAI) -> None:
    embedded = await openai_client.embeddings.create(model="sim", input=["one", "two"])
    assert [len(each.embedding) for each in embedded.data] == [8, 8]
    completed = await openai_client.completions.create(model="sim", prompt="once", max_tokens=2, n=2)
    assert [choice.text for choice in completed.choices] == [" t0 t1", " t0 t1"]
    assert [model.id async for model in openai_client.models.list()] == ["sim"]


async def test_messages(anthropic_client: anthropic.AsyncAnthropic) -> None:
    asked: Any = {**ASK, "max_tokens": 4}
    answer = await anthropic_client.messages.create(**asked)
    assert (answer.content[0].text, answer.stop_reason, answer.usage.output_tokens) == (
        " t0 t1 t2 t3",
        "max_tokens",
        4,
    )
    async with anthropic_client.messages.stream(**asked) as stream:
        final = await stream.get_final_message()
    assert (final.content[0].text, final.usage.output_tokens) == (" t0 t1 t2 t3", 4)
    tools: Any = [{"name": "weather", "input_schema": WEATHER["parameters"]}]
    async with anthropic_client.messages.stream(**{**asked, "max_tokens": 50}, tools=tools) as stream:
        final = await stream.get_final_message()
    assert (final.content[0].input, final.stop_reason) == ({"city": "text"}, "tool_use")


async def test_it_fails_as_it_is_told(engine: Engines, openai_client: openai.AsyncOpenAI) -> None:
    def ask(fault: str, **options: Any) -> Any:
        return openai_client.chat.completions.create(
            **{**ASK, "model": f"sim+{fault}", "user": fault}, **options
        )

    with pytest.raises(openai.RateLimitError):
        await ask("status-429")
    with pytest.raises(openai.APIConnectionError):
        await ask("reset")
    for fault in ("cut-3", "reset-3", "eof-3"):
        seen = 0
        with pytest.raises(openai.APIConnectionError):  # noqa: PT012 - the stream itself fails
            async for chunk in await ask(fault, stream=True):
                seen += bool(chunk.choices[0].delta.content)
        assert seen <= 3
        (record,) = await engine.requests(fault)
        assert (record["emitted"], record["ended"]) == (3, "failed")
    ragged = [chunk async for chunk in await ask("ragged", stream=True, max_tokens=3)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in ragged) == " t0 t1 t2"


async def test_it_stops_when_the_client_goes(engine: Engines, openai_client: openai.AsyncOpenAI) -> None:
    stream = await openai_client.chat.completions.create(
        **{**ASK, "model": "sim+stall-2"}, user="gone", stream=True
    )
    async for chunk in stream:
        if chunk.choices[0].delta.content == " t1":
            break
    await stream.close()

    async def gone() -> bool:
        (record,) = await engine.requests("gone")
        return (record["ended"], record["emitted"]) == ("gone", 2)

    await until(gone)


async def test_its_metrics_tell_of_queue_and_cache(
    engine: Engines, openai_client: openai.AsyncOpenAI
) -> None:
    await engine.tell(max_num_seqs=1, forget=True)
    holding = await openai_client.chat.completions.create(**{**ASK, "model": "sim+stall-1"}, stream=True)
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.TaskGroup() as group:
        group.create_task(openai_client.chat.completions.create(**ASK))

        async def tells() -> bool:
            text = (await client.get(f"http://{engine.addresses[0]}/metrics")).text
            return all(
                f'vllm:num_requests_{word}{{engine="0",model_name="sim"}} 1.0' in text
                for word in ("running", "waiting")
            )

        await until(tells)
        await holding.close()
    long = [{"role": "user", "content": "the same beginning " * 20}]
    for _ in range(2):
        answer = await openai_client.chat.completions.create(model="sim", messages=long)  # type: ignore[arg-type]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == (19 * 20 + 4) // 64 * 16
    await engine.tell(max_num_seqs=4096)
