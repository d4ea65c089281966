"""LiteLLM's proxy as a provider of an AILB (`make judges`), in OpenAI's words and in Anthropic's: translated by us, by it, or twice.

Behind it stands guidellm's mock server, so that tokens can be counted in what comes out in front.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from bench.support.litellm import MASTER_KEY, litellm, wait_for_litellm
from tests.judges.ai_rig import document, mock_server
from tests.ports import free_port
from tests.real.ailb_rig import ailb, anthropic_client, billed_of, openai_client, pool

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

ASK: Any = {"messages": [{"role": "user", "content": "How was the weather?"}], "max_tokens": 30}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
OPENAI_TOOL: Any = {
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}],
    "tool_choice": "required",
}
ANTHROPIC_TOOL: Any = {
    "tools": [{"name": "weather", "input_schema": PARAMETERS}],
    "tool_choice": {"type": "any"},
}
#: As the mock server counts them.
TOKEN = re.compile(r"\w+|[^\w\s]|\s+")


@dataclass(frozen=True, slots=True)
class Said:
    """By a client's own account. `used`: input, output."""

    text: str
    tools: list[str]
    used: tuple[int, int]
    request_id: str


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("litellm-proxy")
    credential = folder / "credential"
    credential.write_text(MASTER_KEY)
    port = free_port()
    async with mock_server(folder / "mock") as engine:
        with litellm(port, {"mock": int(engine.rpartition(":")[2])}, folder) as process:
            wait_for_litellm(port, process, folder)
            state = document({}, {})
            state["pools"] = [
                pool(provider, [f"127.0.0.1:{port}"], provider, credential=str(credential))
                for provider in ("openai", "anthropic")
            ]
            state["routes"][0]["ai"]["models"] = [
                {"name": provider, "targets": [{"pool": provider, "model": "mock"}]}
                for provider in ("openai", "anthropic")
            ]
            async with (
                ailb(folder, state) as gateway,
                openai_client(gateway) as one,
                anthropic_client(gateway) as other,
            ):
                yield SimpleNamespace(gateway=gateway, openai=one, anthropic=other)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("client", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tool", [False, True])
async def test_answers(stage: SimpleNamespace, provider: str, client: str, stream: bool, tool: bool) -> None:
    if client == "openai":
        ask = _openai_stream if stream else _openai_whole
        said = await ask(stage.openai, provider, OPENAI_TOOL if tool else {})
    else:
        ask = _anthropic_stream if stream else _anthropic_whole
        said = await ask(stage.anthropic, provider, ANTHROPIC_TOOL if tool else {})
    assert said.tools == ["weather"] * tool
    if not tool:
        assert len(TOKEN.findall(said.text)) == said.used[1] > 0
    entry = await billed_of(stage.gateway, said.request_id)
    assert (entry["input"], entry["output"], entry["counted"]) == (*said.used, True)


async def _openai_whole(client: Any, model: str, options: Any) -> Said:
    raw = await client.chat.completions.with_raw_response.create(model=model, **ASK, **options)
    return _of_openai(raw.parse(), raw.headers)


async def _openai_stream(client: Any, model: str, options: Any) -> Said:
    usage: Any = {"stream_options": {"include_usage": True}}
    async with client.chat.completions.stream(model=model, **ASK, **options, **usage) as stream:
        headers = stream._response.headers
        return _of_openai(await stream.get_final_completion(), headers)


def _of_openai(answer: Any, headers: Any) -> Said:
    message, usage = answer.choices[0].message, answer.usage
    tools = [call.function.name for call in message.tool_calls or ()]
    used = (usage.prompt_tokens, usage.completion_tokens)
    return Said(message.content or "", tools, used, headers["x-request-id"])


async def _anthropic_whole(client: Any, model: str, options: Any) -> Said:
    raw = await client.messages.with_raw_response.create(model=model, **ASK, **options)
    return _of_anthropic(await raw.parse(), raw.headers)


async def _anthropic_stream(client: Any, model: str, options: Any) -> Said:
    async with client.messages.stream(model=model, **ASK, **options) as stream:
        return _of_anthropic(await stream.get_final_message(), stream.response.headers)


def _of_anthropic(answer: Any, headers: Any) -> Said:
    text = "".join(block.text for block in answer.content if block.type == "text")
    tools = [block.name for block in answer.content if block.type == "tool_use"]
    used = (answer.usage.input_tokens, answer.usage.output_tokens)
    return Said(text, tools, used, headers["x-request-id"])
