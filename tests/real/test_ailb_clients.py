"""What the official clients of OpenAI and Anthropic, and curl, make of an AILB: nothing else than of the providers."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

from tests.real.ailb_rig import KEY, ailb, anthropic_client, billed_of, document, openai_client, sync_openai
from tests.real.support.alb import Alb
from tests.real.support.engines import Engines, engines

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASK: Any = {"messages": [{"role": "user", "content": "hello, engine"}], "max_tokens": 3}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
#: An engine with OpenAI's API, without a relay before it, and one with Anthropic's.
MODELS = ("sim", "quick", "claude")


class Place(BaseModel):
    name: str
    height: float


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    async with engines(tmp_path_factory.mktemp("engine")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engines) -> AsyncIterator[Alb]:
    async with ailb(tmp_path_factory.mktemp("ailb"), document(engine, engine)) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def clients(gateway: Alb) -> AsyncIterator[SimpleNamespace]:
    async with openai_client(gateway) as one, anthropic_client(gateway) as other:
        yield SimpleNamespace(openai=one, anthropic=other)


@pytest.mark.parametrize("model", MODELS)
async def test_chat(clients: SimpleNamespace, engine: Engines, model: str) -> None:
    answer = await clients.openai.chat.completions.create(model=model, user=f"chat-{model}", **ASK)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (" t0 t1 t2", "length")
    assert answer.usage.completion_tokens == 3
    (record,) = await engine.requests(f"chat-{model}")
    assert KEY not in record["credential"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("wants_usage", [True, False])
async def test_streamed_chat(clients: SimpleNamespace, model: str, wants_usage: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if wants_usage else {}
    stream = await clients.openai.chat.completions.create(model=model, stream=True, **ASK, **options)
    chunks = [chunk async for chunk in stream]
    text = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(text) == " t0 t1 t2"
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [3] * wants_usage
    assert (
        all(chunk.choices for chunk in chunks) != wants_usage
    )  # one without choices was asked for, or is not there


@pytest.mark.parametrize("model", MODELS)
async def test_messages(clients: SimpleNamespace, model: str) -> None:
    answer = await clients.anthropic.messages.create(model=model, **ASK)
    assert (answer.content[0].text, answer.stop_reason) == (" t0 t1 t2", "max_tokens")
    assert answer.usage.output_tokens == 3
    async with clients.anthropic.messages.stream(model=model, **ASK) as stream:
        text = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()
    assert ("".join(text), final.usage.output_tokens) == (" t0 t1 t2", 3)


@pytest.mark.parametrize("model", MODELS)
async def test_tools(clients: SimpleNamespace, model: str) -> None:
    asked: Any = {**ASK, "max_tokens": 100, "model": model}
    answer = await clients.openai.chat.completions.create(tools=TOOLS, **asked)
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "text"})
    async with clients.openai.chat.completions.stream(tools=TOOLS, **asked) as stream:
        final = await stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "text"})
    tools: Any = [{"name": "weather", "input_schema": SCHEMA}]
    async with clients.anthropic.messages.stream(tools=tools, **asked) as stream:
        message = await stream.get_final_message()
    assert (message.content[-1].input, message.stop_reason) == ({"city": "text"}, "tool_use")


async def test_the_result_of_a_tool_goes_back(clients: SimpleNamespace) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
    messages: Any = [
        *ASK["messages"],
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    for model in MODELS:
        answer = await clients.openai.chat.completions.create(
            model=model, messages=messages, tools=TOOLS, max_tokens=2
        )
        assert answer.choices[0].message.content == " t0 t1"


async def test_structured_output(clients: SimpleNamespace) -> None:
    asked: Any = {"model": "sim", "messages": ASK["messages"]}
    answer = await clients.openai.chat.completions.parse(response_format=Place, **asked)
    assert answer.choices[0].message.parsed == Place(name="text", height=0.5)


async def test_other_operations(clients: SimpleNamespace) -> None:
    client = clients.openai
    embedded = await client.embeddings.create(model="sim", input=["one", "two"])
    assert [len(each.embedding) for each in embedded.data] == [8, 8]
    completed = await client.completions.create(model="sim", prompt="once", max_tokens=2)
    assert completed.choices[0].text == " t0 t1"
    async with client.responses.stream(model="sim", input="hello", max_output_tokens=4) as stream:
        assert (await stream.get_final_response()).output_text == " t0 t1 t2 t3"
    counted = await clients.anthropic.messages.count_tokens(model="claude", messages=ASK["messages"])
    assert counted.input_tokens > 0


async def test_models_are_listed_in_both_dialects(clients: SimpleNamespace) -> None:
    listed = {model.id async for model in clients.openai.models.list()}
    assert {"fallback-reset", "fallback-stall"} <= listed
    assert {model.id async for model in clients.anthropic.models.list()} == listed
    assert (await clients.openai.models.retrieve("fallback-reset")).id == "fallback-reset"


async def test_the_clients_own_retries(gateway: Alb, engine: Engines) -> None:
    await engine.tell(fault="status-500", times=3)
    async with openai_client(gateway, max_retries=8) as client:
        answer = await client.chat.completions.create(model="sim", **ASK)
    assert answer.choices[0].message.content == " t0 t1 t2"


async def test_what_the_engine_refuses_is_passed_on(clients: SimpleNamespace) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await clients.openai.chat.completions.create(model="sim+status-422", **ASK)
    assert raised.value.status_code == 422
    assert "told to answer 422" in raised.value.message


async def test_threads(gateway: Alb) -> None:
    def ask() -> str:
        with sync_openai(gateway) as client:
            stream = client.chat.completions.create(model="sim", stream=True, **ASK)
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(asyncio.to_thread(ask)) for _ in range(4)]
    assert [task.result() for task in asked] == [" t0 t1 t2"] * 4


async def test_a_client_that_hangs_up_at_done_pays_for_all(gateway: Alb, engine: Engines) -> None:
    async with openai_client(gateway) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="sim", stream=True, user="done", **ASK
        )
        async for line in raw.http_response.aiter_lines():
            if line == "data: [DONE]":
                break
        await raw.http_response.aclose()
    (record,) = await engine.requests("done")
    entry = await billed_of(gateway, record["id"])
    assert (entry["output"], entry["input"]) == (3, record["prompt_tokens"])


async def test_curl(gateway: Alb) -> None:
    asked = json.dumps({"model": "sim", "stream": True, **ASK})
    where = f"http://127.0.0.1:{gateway.port}/v1/chat/completions"
    command = (
        "curl",
        "-sSN",
        where,
        "-H",
        f"authorization: Bearer {KEY}",
        "-H",
        "content-type: application/json",
    )
    process = await asyncio.create_subprocess_exec(*command, "-d", asked, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    events = said.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert sum('"content":" t' in event for event in events) == 3
