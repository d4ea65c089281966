"""Requests go where their prompt's beginning is cached already: judged by the engines' own prefix caches."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from bench.support.llm_client import Client, request
from tests.real.ailb_rig import KEY, ailb, document, pool
from tests.real.support.alb import Alb
from tests.real.support.engines import Engines, engines

ENGINES, PREFIXES, AT_ONCE = 4, 64, 32
#: A prompt has 32 blocks, and an engine room for 18: for all of its share, and not for those of everybody.
BLOCKS, ROOM = 32, 18


@pytest_asyncio.fixture
async def caching(tmp_path: Path) -> AsyncIterator[Engines]:
    behaviour = {"num_gpu_blocks": BLOCKS * ROOM + 32, "first_ms": 6, "block_ms": 0.2, "max_num_seqs": 4}
    async with engines(tmp_path, count=ENGINES, **behaviour) as started:
        yield started


@pytest_asyncio.fixture
async def gateway(tmp_path: Path, caching: Engines) -> AsyncIterator[Alb]:
    state = document(caching, caching)
    state["pools"] += [
        pool("scored", caching.addresses, pick="scored"),
        pool("in-turn", caching.addresses, pick="round_robin"),
    ]
    models = state["routes"][0]["ai"]["models"]
    models += [{"name": name, "targets": [{"pool": name, "model": "sim"}]} for name in ("scored", "in-turn")]
    async with ailb(tmp_path, state) as started:
        yield started


async def hit_rate(port: int, caching: Engines, model: str, requests: int) -> tuple[float, float]:
    """Share of blocks that were cached, and the busiest engine's requests by those of the idlest."""
    chance = random.Random(11)
    await caching.tell(forget=True)
    prompts = [
        f"{model} system prompt {number}: " + "".join(chance.choices("abcdefgh ", k=BLOCKS * 64))
        for number in range(PREFIXES)
    ]
    asked = prompts * (requests // PREFIXES)
    chance.shuffle(asked)
    contents = (f"{prompt} question {number}" for number, prompt in enumerate(asked))
    client = Client(port)

    async def work() -> None:
        for content in contents:
            body: dict[str, Any] = {"model": model, "max_tokens": 1}
            body["messages"] = [{"role": "user", "content": content}]
            data = request("/v1/chat/completions", body, {"authorization": f"Bearer {KEY}"})
            assert (await client.ask(data)).status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    client.close()
    counted = await caching.counts()
    known = sum(each["blocks_known"] for each in counted)
    served = [len(each["requests"]) for each in counted]
    assert sum(served) == len(asked)
    return known / sum(each["blocks_asked"] for each in counted), max(served) / max(1, min(served))


async def test_prefixes_are_kept_together(gateway: Alb, caching: Engines) -> None:
    in_turn, even = await hit_rate(gateway.port, caching, "in-turn", 640)
    assert in_turn < 1.5 / ENGINES
    assert even < 1.1
    found: list[tuple[float, float]] = []
    for _ in range(3):  # ties are drawn: about one round in a thousand is less even than that
        scored, balance = await hit_rate(gateway.port, caching, "scored", 1920)
        found.append((scored, balance))
        if balance < 1.3:
            break
    assert min(scored for scored, _ in found) > 0.8, found
    assert found[-1][1] < 1.3, found
