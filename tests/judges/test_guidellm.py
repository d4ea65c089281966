"""guidellm as a load generator, through an AILB, before its own mock server (`make judges`): what it counted is what is billed."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from tests.judges.ai_rig import PATIENCE, document, mock_server, program, secret_of, tiny_llama
from tests.real.ailb_rig import ailb, billed
from tests.real.support.databases import run
from tests.real.support.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

REQUESTS, AT_ONCE = 300, 32
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
#: By the name of the key that is used: the path, the model, and whether the answer is streamed.
RUNS = {
    "chat-streamed": (CHAT, "mock", True),
    "chat-streamed-direct": (CHAT, "mock-direct", True),
    "chat-whole": (CHAT, "mock", False),
    "completions-streamed": (COMPLETIONS, "mock", True),
    "responses-streamed": (RESPONSES, "mock", True),
    "responses-whole": (RESPONSES, "mock", False),
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("guidellm")
    tokenizer = await tiny_llama(folder)
    async with mock_server(folder / "mock") as engine:
        state = document({"mock": engine}, {"mock": "mock"}, list(RUNS))
        async with ailb(folder, state) as gateway:
            yield SimpleNamespace(gateway=gateway, tokenizer=tokenizer, folder=folder)


@pytest.mark.parametrize("name", RUNS)
async def test_what_guidellm_counts_is_billed(stage: SimpleNamespace, name: str) -> None:
    path, model, stream = RUNS[name]
    spec = {
        "backend": {
            "kind": "openai_http",
            "target": f"http://127.0.0.1:{stage.gateway.port}",
            "model": model,
            "api_key": secret_of(name),
            "request_format": path,
            "stream": stream,
            "api_routes": {"/health": "v1/models"},
        },
        "profile": {"kind": "concurrent", "streams": AT_ONCE},
        "constraints": [{"kind": "max_requests", "count": REQUESTS}],
        "data": [
            {"kind": "synthetic_text", "prompt_tokens": 64, "output_tokens": 24, "output_tokens_stdev": 8}
        ],
        "tokenizer": {"kind": "huggingface_auto", "model": str(stage.tokenizer)},
    }
    benchmark = await _benchmark(stage.folder / name, spec)
    totals = benchmark["metrics"]["request_totals"]
    assert totals == {"successful": REQUESTS, "errored": 0, "incomplete": 0, "total": REQUESTS}

    def entries() -> list[dict[str, Any]]:
        return [entry for entry in billed(stage.gateway) if entry["key"] == name]

    await until(lambda: len(entries()) >= REQUESTS)
    assert {(entry["ended"], entry["counted"]) for entry in entries()} == {("complete", True)}
    used = Counter((entry["input"], entry["output"]) for entry in entries())
    assert used == Counter(
        (one["input_metrics"]["total_tokens"], one["output_metrics"]["total_tokens"])
        for one in benchmark["requests"]["successful"]
    )


async def _benchmark(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """What guidellm reports."""
    folder.mkdir()
    report = folder / "report.json"
    spec["outputs"] = [{"kind": "json", "path": str(report)}]
    (folder / "scenario.json").write_text(json.dumps({"spec": spec}))
    command = program("guidellm", "run", "--config", str(folder / "scenario.json"), "--disable-console")
    await run(*command, within=PATIENCE)
    found: dict[str, Any]
    (found,) = json.loads(report.read_text())["benchmarks"]
    return found
