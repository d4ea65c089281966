"""LiteLLM's SDK as a client of an AILB (`make judges`): what it is told, it takes for what it is, in each of the APIs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from tests.judges.ai_rig import PATIENCE, document, mock_server, program, secret_of
from tests.real.ailb_rig import ailb, billed
from tests.real.support.databases import run
from tests.real.support.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

CLIENT = Path(__file__).with_name("litellm_client.py")
PROVIDERS = ("openai", "hosted_vllm", "anthropic")
ANSWERS = ("whole", "streamed", "tool", "streamed tool")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("litellm")
    async with mock_server(folder / "mock") as engine:
        state = document({"mock": engine}, {"mock": "mock"}, ["litellm"])
        state["virtual_keys"][-1]["models"] = ["mock", "nope"]
        async with ailb(folder, state) as gateway:
            url = f"http://127.0.0.1:{gateway.port}"
            command = program("python", str(CLIENT), url, secret_of("litellm"), "mock")
            said = await run(*command, within=PATIENCE)
            yield SimpleNamespace(gateway=gateway, told=json.loads(said.splitlines()[-1]))


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_answers(stage: SimpleNamespace, provider: str) -> None:
    told = stage.told[provider]
    assert not [told[kind] for kind in ANSWERS if "error" in told[kind]]
    assert told["whole"]["text"] == told["streamed"]["text"] != ""
    assert [told[kind]["tools"] for kind in ANSWERS] == [[], [], ["weather"], ["weather"]]
    assert {kind: told[kind]["used"] for kind in ANSWERS} == dict.fromkeys(ANSWERS, told["whole"]["used"])


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_errors(stage: SimpleNamespace, provider: str) -> None:
    told = stage.told[provider]
    assert (told["no such model"]["error"], told["no such key"]["error"]) == (
        "NotFoundError",
        "AuthenticationError",
    )
    assert "mock-direct" in told["not allowed"]["said"]


async def test_what_litellm_counts_is_billed(stage: SimpleNamespace) -> None:
    asked = [stage.told[provider][kind]["used"] for provider in PROVIDERS for kind in ANSWERS]

    def entries() -> list[Any]:
        return [entry for entry in billed(stage.gateway) if entry["key"] == "litellm"]

    await until(lambda: len(entries()) >= len(asked))
    assert sorted([entry["input"], entry["output"]] for entry in entries()) == sorted(asked)
