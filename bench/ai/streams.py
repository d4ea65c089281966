"""Streams: so many at once through one way, and how long each token was under way: engines write the time into it."""

import asyncio
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from json import dumps

from bench.ai.paths import STREAMED, Way
from bench.support.llm_client import Answer, Client, request
from bench.support.numbers import percentile
from bench.support.processes import run_seconds


@dataclass(frozen=True, slots=True)
class Load:
    """So many streams at once, and the milliseconds between two tokens of each.

    `steps`: one engine gives all of them a token at the same moment, as its batch is computed; otherwise each goes by a clock of its own, as behind
    very many engines: the worst that can happen, since every token wakes everybody.
    """

    streams: int
    token_ms: float
    steps: bool = True


#: By the end of their keys: about as many tokens a second as two cores can pass on.
LOADS = {
    "1": Load(1, 10),
    "64": Load(64, 20),
    "512": Load(512, 100),
    "64_scattered": Load(64, 20, steps=False),
}
_STARTS = 16  # at least so many beginnings are timed
_MOST_TOKENS = 4000
_STAMP = re.compile(rb'"content": ?" (\d+\.\d{6})"')
_GRACE_SECONDS = 60.0
_PROMPT = "Say how the weather was. " * 32


class NotBegun(Exception):
    """A way was given time, and has not begun all streams."""


@dataclass(slots=True)
class Window:
    """What one way did: milliseconds to the first byte, of each token under way, between tokens; CPU for each."""

    first_ms: list[float] = field(default_factory=list)
    token_ms: list[float] = field(default_factory=list)
    gap_ms: list[float] = field(default_factory=list)
    cpu_us: float = 0.0

    def numbers(self) -> dict[str, float]:
        """The keys that the report has for each way."""
        return {
            "ttft_p50_ms": percentile(self.first_ms, 50),
            "ttft_p99_ms": percentile(self.first_ms, 99),
            "token_p50_ms": percentile(self.token_ms, 50),
            "token_p99_ms": percentile(self.token_ms, 99),
            "gap_p99_ms": percentile(self.gap_ms, 99),
            "chunk_cpu_us": self.cpu_us,
        }


def pace(way: Way, load: Load) -> None:
    """Tell the way's engine how fast it is."""
    told = dumps(
        {"token_ms": load.token_ms, "steps": int(load.steps), "first_ms": 20, "forget": True}
    ).encode()
    urllib.request.urlopen(f"http://127.0.0.1:{way.engine_port}/control", told, timeout=10).close()


async def measure(way: Way, count: int, seconds: float) -> Window:
    """`count` streams for `seconds` after each has begun, then hung up. Raises RuntimeError when one breaks."""
    client = Client(way.stream_port)
    body = {
        "model": STREAMED,
        "stream": True,
        "max_tokens": _MOST_TOKENS,
        "messages": [{"role": "user", "content": _PROMPT}],
    }
    data = request("/v1/chat/completions", body, way.headers)
    window = Window()
    try:
        for _ in range(_STARTS // count - 1):
            await _run(client, data, count, 0.0, window, way)
        await _run(client, data, count, seconds, window, way)
    finally:
        client.close()
    return window


async def _run(client: Client, data: bytes, count: int, seconds: float, window: Window, way: Way) -> None:
    answers: list[Answer] = []
    async with _unwrapped(), asyncio.TaskGroup() as group:
        tasks = []
        for _ in range(count):
            tasks.append(group.create_task(_stream(client, data, answers)))
            await asyncio.sleep(0.5 / max(count, 64))
        try:
            await _all_begun(way, answers, tasks, count)
            window.first_ms += [(answer.first - answer.began) * 1000 for answer in answers]
            began, before = time.monotonic(), run_seconds(way.pids)
            await asyncio.sleep(seconds)
            if seconds:
                used, ended = run_seconds(way.pids) - before, time.monotonic()
                tokens = sum(arrivals(answer, began, ended, window) for answer in answers)
                window.cpu_us = used / tokens * 1e6
        finally:
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def _unwrapped() -> AsyncIterator[None]:
    """What a group of tasks raises for one reason, as that reason."""
    try:
        yield
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def _stream(client: Client, data: bytes, answers: list[Answer]) -> None:
    await client.ask(data, timed=True, begun=answers.append)


async def _all_begun(
    way: Way, answers: Sequence[Answer], tasks: Sequence[asyncio.Task[None]], count: int
) -> None:
    """Every stream has had its first byte."""
    patience = time.monotonic() + _GRACE_SECONDS
    while len(answers) < count or not all(answer.first for answer in answers):
        refused = next((answer for answer in answers if answer.status not in {0, 200}), None)
        if refused is not None or any(task.done() for task in tasks):
            said = refused and (refused.status, refused.reads)
            raise RuntimeError(f"{way.name}: of {count} streams one ended before it began: {said}")
        if time.monotonic() > patience:
            begun = sum(answer.first > 0 for answer in answers)
            raise NotBegun(f"{way.name}: {begun} of {count} streams began within {_GRACE_SECONDS:g} s")
        await asyncio.sleep(0.005)


def arrivals(answer: Answer, began: float, ended: float, window: Window) -> int:
    """How many of its tokens came between these times; what they tell goes to the window."""
    carried, last, tokens = b"", 0.0, 0
    for at, piece in answer.reads or ():
        whole, divider, carried = (carried + piece).rpartition(b"\n\n")
        if not divider:
            continue
        for stamp in _STAMP.findall(whole):
            if began <= at <= ended:
                tokens += 1
                window.token_ms.append((at - float(stamp)) * 1000)
                if last:
                    window.gap_ms.append((at - last) * 1000)
            last = at
    return tokens
