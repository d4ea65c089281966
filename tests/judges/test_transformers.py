"""transformers with a tiny random model as an engine, and the official clients, through an AILB (`make judges`).

An engine that was not made for this: it forgets `[DONE]`, says what was used in the event that has the reason to stop, puts several
events into one write, and writes bytes that are no text yet.
"""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.judges.ai_rig import document, tiny_llama, transformers_server
from tests.real.ailb_rig import ailb, anthropic_client, billed_of, openai_client

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

MESSAGES: Any = [{"role": "user", "content": "How was the weather?"}]
#: The engine is greedy as long as nobody says anything else, and so it tells everybody the same.
ASK: Any = {"messages": MESSAGES, "max_tokens": 12}
MODELS = ("tiny", "tiny-direct")
#: Minutes of writing, and the engine does nothing else meanwhile.
ENDLESS = 60_000


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("transformers")
    model = await tiny_llama(folder)
    async with (
        transformers_server(folder / "engine", model) as engine,
        ailb(folder, document({"tiny": engine}, {"tiny": str(model)})) as gateway,
        openai_client(gateway) as one,
        anthropic_client(gateway) as other,
        openai_client(gateway, base_url=f"http://{engine}/v1") as direct,
    ):
        said = await direct.chat.completions.create(model=str(model), **ASK)
        yield SimpleNamespace(gateway=gateway, openai=one, anthropic=other, said=said)


async def _is_billed(stage: SimpleNamespace, headers: Any, used: tuple[int, int]) -> None:
    entry = await billed_of(stage.gateway, headers["x-request-id"])
    assert (entry["input"], entry["output"], entry["counted"]) == (*used, True)


def _used(stage: SimpleNamespace) -> tuple[int, int]:
    return stage.said.usage.prompt_tokens, stage.said.usage.completion_tokens


def _text(stage: SimpleNamespace) -> str:
    said = stage.said.choices[0].message.content
    assert said
    return str(said)


@pytest.mark.parametrize("model", MODELS)
async def test_chat(stage: SimpleNamespace, model: str) -> None:
    raw = await stage.openai.chat.completions.with_raw_response.create(model=model, **ASK)
    answer = raw.parse()
    assert (answer.choices[0].message.content, answer.usage) == (_text(stage), stage.said.usage)
    await _is_billed(stage, raw.headers, _used(stage))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("wants_usage", [True, False])
async def test_streamed_chat(stage: SimpleNamespace, model: str, wants_usage: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if wants_usage else {}
    raw = await stage.openai.chat.completions.with_raw_response.create(
        model=model, stream=True, **ASK, **options
    )
    chunks = [chunk async for chunk in raw.parse()]
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert _text(stage).startswith("".join(choice.delta.content or "" for choice in choices))
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["length"]
    assert [chunk.usage for chunk in chunks if chunk.usage and wants_usage] == [
        stage.said.usage
    ] * wants_usage
    await _is_billed(stage, raw.headers, _used(stage))


async def test_completions(stage: SimpleNamespace) -> None:
    asked: Any = {"model": "tiny", "prompt": "The weather", "max_tokens": 5}
    raw = await stage.openai.completions.with_raw_response.create(**asked)
    whole = raw.parse()
    await _is_billed(stage, raw.headers, (whole.usage.prompt_tokens, 5))
    raw = await stage.openai.completions.with_raw_response.create(**asked, stream=True)
    text = "".join([chunk.choices[0].text async for chunk in raw.parse() if chunk.choices])
    assert text
    assert whole.choices[0].text.startswith(text)
    await _is_billed(stage, raw.headers, (whole.usage.prompt_tokens, 5))


@pytest.mark.parametrize("model", MODELS)
async def test_responses(stage: SimpleNamespace, model: str) -> None:
    asked: Any = {"model": model, "input": "How was the weather?", "max_output_tokens": 7}
    raw = await stage.openai.responses.with_raw_response.create(**asked, stream=False)
    whole = raw.parse()
    await _is_billed(stage, raw.headers, (whole.usage.input_tokens, 7))
    for options in ({"stream": True}, {}):  # this engine streams as long as nobody forbids it
        raw = await stage.openai.responses.with_raw_response.create(**asked, **options)
        assert "event-stream" in raw.headers["content-type"]
        await raw.http_response.aread()
        assert '"type":"response.completed"' in raw.http_response.text
        await _is_billed(stage, raw.headers, (whole.usage.input_tokens, 7))


async def test_an_anthropic_client(stage: SimpleNamespace) -> None:
    raw = await stage.anthropic.messages.with_raw_response.create(model="tiny", **ASK)
    answer = await raw.parse()
    assert (answer.content[0].text, answer.stop_reason) == (_text(stage), "max_tokens")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == _used(stage)
    await _is_billed(stage, raw.headers, _used(stage))
    async with stage.anthropic.messages.stream(model="tiny", **ASK) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text
    assert _text(stage).startswith(text)
    assert (final.usage.input_tokens, final.usage.output_tokens) == _used(stage)


async def test_what_the_engine_refuses_is_passed_on(stage: SimpleNamespace) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        await stage.openai.chat.completions.create(model="tiny", extra_body={"top_k": 3}, **ASK)
    assert raised.value.response.json() == {"detail": "Unexpected fields in the request: {'top_k'}"}


@pytest.mark.parametrize("model", MODELS)
async def test_a_client_that_hangs_up_ends_the_writing(stage: SimpleNamespace, model: str) -> None:
    """The next answer would come in minutes otherwise."""
    asked = {**ASK, "max_tokens": ENDLESS}
    raw = await stage.openai.chat.completions.with_raw_response.create(model=model, stream=True, **asked)
    read, stream = 0, raw.parse()
    async for chunk in stream:
        read += bool(chunk.choices and chunk.choices[0].delta.content)
        if read == 20:
            break
    await stream.close()
    answer = await stage.openai.chat.completions.create(model=model, **ASK)
    assert answer.choices[0].message.content == _text(stage)
    entry = await billed_of(stage.gateway, raw.headers["x-request-id"])
    assert entry["ended"] != "complete"
    assert 20 <= entry["output"] < ENDLESS
