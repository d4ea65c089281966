"""guidellm as a load generator, through an AILB (`make judges`): what it counted is what is billed.

The engine is its own mock server, and once transformers with a model of the test's.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.judges.ai_rig import (
    PATIENCE,
    document,
    mock_server,
    program,
    secret_of,
    tiny_llama,
    transformers_server,
)
from tests.real.ailb_rig import ailb, billed
from tests.real.support.databases import run
from tests.real.support.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
CUT = "chat-cut"


@dataclass(frozen=True, slots=True)
class Load:
    path: str = CHAT
    model: str = "mock"
    stream: bool = True
    requests: int = 300
    at_once: int = 32


#: By the name of the key that is used.
LOADS = {
    "chat-streamed": Load(),
    "chat-streamed-direct": Load(model="mock-direct"),
    "chat-whole": Load(stream=False),
    "completions-streamed": Load(COMPLETIONS),
    "responses-streamed": Load(RESPONSES),
    "responses-whole": Load(RESPONSES, stream=False),
    "transformers": Load(model="tiny", requests=40, at_once=4),
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("guidellm")
    llama = await tiny_llama(folder)
    async with mock_server(folder / "mock") as mock, transformers_server(folder / "tiny", llama) as tiny:
        state = document({"mock": mock, "tiny": tiny}, {"mock": "mock", "tiny": str(llama)}, [*LOADS, CUT])
        async with ailb(folder, state) as gateway:
            yield SimpleNamespace(gateway=gateway, tokenizer=llama, folder=folder)


@pytest.mark.parametrize("name", LOADS)
async def test_what_guidellm_counts_is_billed(stage: SimpleNamespace, name: str) -> None:
    load = LOADS[name]
    benchmark = await _benchmark(stage, name, load, {"kind": "max_requests", "count": load.requests})
    totals = {"successful": load.requests, "errored": 0, "incomplete": 0, "total": load.requests}
    assert benchmark["metrics"]["request_totals"] == totals
    await until(lambda: len(_billed(stage, name)) >= load.requests)
    entries = _billed(stage, name)
    assert len(entries) == load.requests
    # it hangs up at the last event, which now and then is before the answer has ended
    assert {entry["ended"] for entry in entries} <= {"complete", "client_gone"}
    assert all(entry["counted"] for entry in entries)
    assert _used(entries) == _counted(benchmark)


async def test_those_that_guidellm_leaves_are_billed_too(stage: SimpleNamespace) -> None:
    """It hangs up on all that are under way when its time is over."""
    load = Load()
    benchmark = await _benchmark(stage, CUT, load, {"kind": "max_duration", "seconds": 4})
    totals = benchmark["metrics"]["request_totals"]
    assert totals["errored"] == 0
    assert totals["successful"] > 0

    async def all_have_ended() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{stage.gateway.metrics}/metrics")).text
        return "\nmarchproxy_ailb_under_way 0\n" in text

    await until(all_have_ended)
    await until(lambda: len(_billed(stage, CUT)) >= totals["successful"])
    others = _used(_billed(stage, CUT))
    missing = _counted(benchmark) - others
    assert not missing
    others.subtract(_counted(benchmark))
    assert others.total() <= load.at_once


def _billed(stage: SimpleNamespace, name: str) -> list[dict[str, Any]]:
    return [entry for entry in billed(stage.gateway) if entry["key"] == name]


def _used(entries: Sequence[dict[str, Any]]) -> Counter[tuple[int, int]]:
    return Counter((entry["input"], entry["output"]) for entry in entries)


def _counted(benchmark: dict[str, Any]) -> Counter[tuple[int, int]]:
    """The same of what guidellm has counted."""
    return Counter(
        (one["input_metrics"]["total_tokens"], one["output_metrics"]["total_tokens"])
        for one in benchmark["requests"]["successful"]
    )


async def _benchmark(
    stage: SimpleNamespace, name: str, load: Load, until_when: dict[str, Any]
) -> dict[str, Any]:
    """What guidellm reports."""
    folder = stage.folder / name
    folder.mkdir()
    spec = {
        "backend": {
            "kind": "openai_http",
            "target": f"http://127.0.0.1:{stage.gateway.port}",
            "model": load.model,
            "api_key": secret_of(name),
            "request_format": load.path,
            "stream": load.stream,
            "max_tokens": 24,
            "api_routes": {"/health": "v1/models"},  # an engine's own path, and none of the API
        },
        "profile": {"kind": "concurrent", "streams": load.at_once},
        "constraints": [until_when],
        "data": [{"kind": "synthetic_text", "prompt_tokens": 64, "prompt_tokens_stdev": 16}],
        "tokenizer": {"kind": "huggingface_auto", "model": str(stage.tokenizer)},
        "outputs": [{"kind": "json", "path": str(folder / "report.json")}],
    }
    (folder / "scenario.json").write_text(json.dumps({"spec": spec}))
    command = program("guidellm", "run", "--config", str(folder / "scenario.json"), "--disable-console")
    await run(*command, within=PATIENCE)
    found: dict[str, Any]
    (found,) = json.loads((folder / "report.json").read_text())["benchmarks"]
    return found
