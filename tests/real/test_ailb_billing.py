"""Tokens billed are tokens emitted, by the engines' own count; and no limit is overshot, however many ask at once."""

import asyncio
import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from bench.support.llm_client import Answer, Client, request
from tests.real.ailb_rig import KEY, ailb, billed, document, key
from tests.real.support.alb import Alb
from tests.real.support.engines import Engines, engines
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUESTS, AT_ONCE = 10_000, 200
#: A pair of keys for each limit: nobody else asks with them.
RATE, TOKENS, CONCURRENT, POOR = (f"mp-limited-{number:016d}" for number in range(4))
TOKENS_PER_MINUTE, MOST_AT_ONCE, REQUESTS_PER_MINUTE = 3000, 5, 30


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def good(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    async with engines(tmp_path_factory.mktemp("good"), count=2) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bad(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    async with engines(tmp_path_factory.mktemp("bad")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, good: Engines, bad: Engines
) -> AsyncIterator[Alb]:
    directory = tmp_path_factory.mktemp("ailb")
    state = document(good, bad, first_byte_timeout="60s")  # the machine may be busy
    (directory / "key").write_text("sk-of-the-provider")
    for each in state["pools"]:
        each["ai"]["credential"] = str(directory / "key")
    state["virtual_keys"] += [
        key("rate", RATE),
        key("tokens", TOKENS),
        key("concurrent", CONCURRENT),
        key("poor", POOR),
    ]
    state["allowances"] = [
        {"id": "rate", "target": "key:rate", "requests_per_minute": REQUESTS_PER_MINUTE},
        {"id": "tokens", "target": "key:tokens", "tokens_per_minute": TOKENS_PER_MINUTE},
        {"id": "concurrent", "target": "key:concurrent", "concurrent": MOST_AT_ONCE},
        {"id": "poor", "target": "key:poor", "budget_day": 0.001},
        {"id": "all", "target": "*", "concurrent": 10_000},
    ]
    async with ailb(directory, state) as started:
        yield started


@dataclass(frozen=True, slots=True)
class Case:
    """A request; hung up once `leave_at` has come. `words`: what is asked beside the model."""

    path: str
    model: str
    tokens: int
    stream: bool = False
    leave_at: bytes = b""

    def encode(self, number: int) -> bytes:
        anthropic = self.path == "/v1/messages"
        body: dict[str, Any] = {"model": self.model, "user": f"n{number}"}
        if anthropic:
            body = {"model": self.model, "metadata": {"user_id": f"n{number}"}}
        prompt = f"request {number} " * (1 + number % 7)
        if self.path == "/v1/embeddings":
            body["input"] = prompt
        else:
            body |= {"messages": [{"role": "user", "content": prompt}], "max_tokens": self.tokens}
            body |= {"stream": True} if self.stream else {}
            if self.stream and self.model == "quick":  # no relay is there to ask for it
                body["stream_options"] = {"include_usage": True}
        return request(self.path, body, {"authorization": f"Bearer {KEY}"})


def cases(chance: random.Random) -> Iterator[Case]:
    """An endless mixture of everything."""
    chat, messages = "/v1/chat/completions", "/v1/messages"
    while True:
        tokens = chance.randint(1, 20)
        last = chance.randint(1, tokens)
        left = b' t%d"' % (last - 1)
        yield from chance.choices(
            [
                Case(chat, "sim", tokens),
                Case(chat, "sim", tokens, stream=True),
                Case(chat, "quick", tokens, stream=True),
                Case(messages, "claude", tokens),
                Case(messages, "claude", tokens, stream=True),
                Case(chat, "claude", tokens, stream=True),
                Case(messages, "sim", tokens, stream=True),
                Case("/v1/embeddings", "sim", 0),
                Case(chat, f"sim+stall-{last}", tokens + 1, stream=True, leave_at=left),
                Case(messages, f"claude+stall-{last}", tokens + 1, stream=True, leave_at=left),
                Case(chat, f"sim+reset-{last}", tokens + 1, stream=True),
                Case(chat, f"sim+cut-{last}", tokens + 1, stream=True),
                Case(chat, "sim+ragged", tokens, stream=True),
                Case(chat, "fallback-status-500", tokens, stream=True),
                Case(chat, "fallback-reset", tokens),
                Case(chat, "fallback-reset-0", tokens, stream=True),
            ],
            [50, 10, 5, 5, 3, 3, 3, 4, 3, 2, 3, 2, 2, 2, 2, 1],
        )


async def ask_all(port: int, requests: Iterator[tuple[int, Case]]) -> Counter[tuple[str, int, bool]]:
    """So many at once; how they ended, by model: their status, and whether the answer was whole."""
    client, ended = Client(port), Counter[tuple[str, int, bool]]()

    async def work() -> None:
        for number, case in requests:
            answer = await client.ask(case.encode(number), leave_at=case.leave_at)
            ended[case.model.partition("+")[2].partition("-")[0], answer.status, answer.complete] += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
    finally:
        client.close()
    return ended


async def test_billed_is_emitted(gateway: Alb, good: Engines, bad: Engines) -> None:
    mixture = cases(random.Random(6))
    async with asyncio.timeout(90):
        ended = await ask_all(gateway.port, zip(range(REQUESTS), mixture, strict=False))
    assert {(status, whole) for (fault, status, whole) in ended if fault != "stall"} == {(200, True)}, ended
    assert sum(ended.values()) == REQUESTS

    emitted, read = Counter[str](), dict[str, int]()
    records = (*await good.requests(), *await bad.requests())
    assert all("sk-of-the-provider" in record["credential"] for record in records)
    for record in records:
        emitted[record["id"]] += record["emitted"]
        read[record["id"]] = record["prompt_tokens"]

    await until(lambda: len(billed(gateway)) >= REQUESTS, 40)
    entries = billed(gateway)
    assert len(entries) == len({entry["request_id"] for entry in entries}) == REQUESTS
    wrong = [
        (entry, emitted[entry["request_id"]])
        for entry in entries
        if entry["output"] != emitted[entry["request_id"]]
    ]
    assert wrong == [], (
        len(wrong),
        Counter((entry["model"], entry["ended"]) for entry, _ in wrong),
        wrong[:5],
    )
    whole = [entry for entry in entries if entry["ended"] == "complete" and "+" not in entry["model"]]
    assert len(whole) > REQUESTS / 2
    assert [entry for entry in whole if entry["input"] != read[entry["request_id"]]] == []


async def test_a_stream_that_nobody_counts_and_that_is_cut_is_charged_by_its_bytes(
    gateway: Alb, good: Engines
) -> None:
    """It goes past the relays, and 500 tokens are reserved for it."""
    whole, cut = Case("/v1/chat/completions", "quick", 40, stream=True), b' t29"'
    client, known = Client(gateway.port), {entry["request_id"] for entry in billed(gateway)}
    try:
        for number in range(3):
            await client.ask(whole.encode(number))
        await until(lambda: len({entry["request_id"] for entry in billed(gateway)} - known) == 3)
        await good.tell(fault="stall-30", times=1)
        await client.ask(replace(whole, tokens=500).encode(9), leave_at=cut)
    finally:
        client.close()
        await good.tell(fault="", times=0)

    def guessed() -> list[dict[str, Any]]:
        return [
            entry for entry in billed(gateway) if not entry["counted"] and entry["request_id"] not in known
        ]

    await until(guessed)
    (entry,) = guessed()
    assert 20 <= entry["output"] <= 45


def chat(secret: str, tag: str, tokens: int = 50) -> bytes:
    body = {
        "model": "sim",
        "user": tag,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": tag * 8}],
    }
    return request("/v1/chat/completions", body, {"authorization": f"Bearer {secret}"})


async def flood(port: int, secret: str, tag: str, times: int) -> list[Answer]:
    """All at once."""
    client = Client(port)
    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(client.ask(chat(secret, tag))) for _ in range(times)]
        return [task.result() for task in asked]
    finally:
        client.close()


@pytest.mark.parametrize(
    ("secret", "tag", "most"),
    [(RATE, "rate", REQUESTS_PER_MINUTE), (TOKENS, "tokens", TOKENS_PER_MINUTE)],
)
async def test_no_limit_is_overshot(gateway: Alb, good: Engines, secret: str, tag: str, most: int) -> None:
    began = time.monotonic()
    answers = await flood(gateway.port, secret, tag, AT_ONCE)
    refilled = most * (time.monotonic() - began) / 60
    assert {answer.status for answer in answers} == {200, 429}
    assert all(b"rate_limit" in answer.body for answer in answers if answer.status == 429)
    records = await good.requests(tag)
    used = len(records)
    if tag == "tokens":
        used = sum(record["prompt_tokens"] + record["emitted"] for record in records)
    one = 1 if tag == "rate" else 50 + 8 * len(tag)
    assert used <= most + refilled + one
    assert used >= most * 0.8 - one  # a limit that nobody could reach would be no better


async def test_no_more_at_once_than_allowed(gateway: Alb, good: Engines) -> None:
    await good.tell(first_ms=20)
    try:
        answers = [each for _ in range(4) for each in await flood(gateway.port, CONCURRENT, "concurrent", 40)]
    finally:
        await good.tell(first_ms=0)
    assert {answer.status for answer in answers} == {200, 429}
    moments = sorted(
        itertools.chain.from_iterable(
            ((record["began"], 1), (record["ended_at"], -1)) for record in await good.requests("concurrent")
        )
    )
    assert max(itertools.accumulate(step for _, step in moments)) <= MOST_AT_ONCE


async def test_a_budget_is_not_overshot(gateway: Alb, good: Engines) -> None:
    answers = await flood(gateway.port, POOR, "poor", 60)
    assert {answer.status for answer in answers} == {200, 429}
    assert all(b"insufficient_quota" in answer.body for answer in answers if answer.status != 200)
    spent = defaultdict(float)
    for record in await good.requests("poor"):
        spent["money"] += (record["prompt_tokens"] * 1.0 + record["emitted"] * 10.0) / 1e6
    assert 0 < spent["money"] <= 0.001
