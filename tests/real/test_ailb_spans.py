"""Spans of requests to language models, in OpenTelemetry's words for generative AI."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from secrets import token_hex
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.collector import Collector, Span
from tests.real.ailb_rig import KEY, ailb, document
from tests.real.support.engines import engines

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT, MESSAGES, COMPLETIONS = "/v1/chat/completions", "/v1/messages", "/v1/completions"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> AsyncIterator[httpx.AsyncClient]:
    tracing = {"endpoint": collector.endpoint, "sample_percent": 100}
    async with engines(tmp_path_factory.mktemp("engine")) as engine:
        state = document(engine, engine)
        async with ailb(tmp_path_factory.mktemp("ailb"), state, tracing=tracing) as gateway:
            base = f"http://127.0.0.1:{gateway.port}"
            async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=20) as made:
                yield made


#: path, model, and what it is called in the conventions
KINDS = [
    (CHAT, "sim", "chat", "vllm"),  # a stream passes a relay, a whole answer does not
    (CHAT, "quick", "chat", "vllm"),  # past the relays
    (CHAT, "claude", "chat", "anthropic"),  # translated
    (MESSAGES, "claude", "chat", "anthropic"),
    (COMPLETIONS, "sim", "text_completion", "vllm"),
]


@pytest.mark.parametrize("stream", [True, False])
async def test_spans_say_what_was_asked_and_what_that_used(
    collector: Collector, client: httpx.AsyncClient, stream: bool
) -> None:
    asked = [_ask(client, path, model, stream=stream) for path, model, *_ in KINDS]
    answers = await asyncio.gather(*asked)
    for (_, model, operation, provider), (answer, trace) in zip(KINDS, answers, strict=True):
        assert answer.status_code == 200, answer.text
        span = await _span(collector, trace)
        told = {name: value for name, value in span.tags.items() if name.startswith("gen_ai")}
        assert told == {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": "1",
            "gen_ai.usage.output_tokens": "3",
        }
        assert span.tags["server.address"]
        assert "error.type" not in span.tags


async def test_spans_say_what_went_wrong(collector: Collector, client: httpx.AsyncClient) -> None:
    wrong = {"nobody": "404", "sim+status-400": "400", "sim+eof-1": "bad_answer"}
    answers = await asyncio.gather(*(_ask(client, CHAT, model, stream=True) for model in wrong))
    for error, (_, trace) in zip(wrong.values(), answers, strict=True):
        assert (await _span(collector, trace)).tags["error.type"] == error


async def _ask(
    client: httpx.AsyncClient, path: str, model: str, *, stream: bool
) -> tuple[httpx.Response, str]:
    """The answer, and the trace that it is in."""
    trace = token_hex(16)
    body: dict[str, Any] = {"model": model, "max_tokens": 3, "stream": stream}
    body |= {"prompt": "x"} if path == COMPLETIONS else {"messages": [{"role": "user", "content": "x"}]}
    if model == "quick" and stream:
        body["stream_options"] = {"include_usage": True}  # nobody else asks for it there
    headers = {"authorization": f"Bearer {KEY}", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    return await client.post(path, json=body, headers=headers), trace


async def _span(collector: Collector, trace: str) -> Span:
    def found() -> list[Span]:
        return [span for span in collector.spans if (span.trace, span.kind) == (trace, "server")]

    await collector.until(found)
    (span,) = found()
    return span
