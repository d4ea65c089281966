"""Rounds: every way in turn, again and again; whole answers by wrk, then streams."""

import asyncio
import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench.ai import streams
from bench.ai.paths import LITELLM, WHOLE, Way
from bench.ai.streams import LOADS, Window
from bench.support.llm_client import Client, request
from bench.support.processes import run_seconds
from bench.support.wrk import Run, run_wrk

CONNECTIONS = 16
_PATIENCE_SECONDS = 60
_LITELLM_SECONDS = 4.0  # at least: it answers some tens a second
_WORDS = "Say how the weather was. " * 32
_BODY = {"model": WHOLE, "max_tokens": 64, "messages": [{"role": "user", "content": _WORDS}]}
_WRK = """wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.body = [[{body}]]
wrk.headers["content-type"] = "application/json"
"""


@dataclass(frozen=True, slots=True)
class Requests:
    """A run of whole answers, and the CPU for each of all processes in between."""

    run: Run
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured: by way, and by way and load. `notes`: what LiteLLM could not do."""

    requests: Mapping[str, list[Requests]] = field(default_factory=lambda: defaultdict(list))
    windows: Mapping[tuple[str, str], list[Window]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)


def measure(ways: Sequence[Way], directory: Path, *, rounds: int, seconds: float, until: float) -> Found:
    """So many rounds of `seconds` each; after `until`, by the monotonic clock, no further round begins.

    Raises RuntimeError when a request failed, NotBegun when streams of another than LiteLLM did not begin.
    """
    found = Found()
    scripts = {way.name: _script(way, directory) for way in ways}
    for way in ways:
        uvloop.run(_warm_up(way))
    order = list(ways)
    for _ in range(rounds):
        for way in order:
            found.requests[way.name].append(_requests(way, scripts[way.name], seconds))
        for label, load in LOADS.items():
            for way in order:
                if way.name == LITELLM and load.streams > 1:
                    continue  # at the end
                streams.pace(way, load)
                _streams(way, label, seconds, found)
        order.reverse()  # none is always the first
        if time.monotonic() > until:
            break
    if until == math.inf:
        _many_streams_of_litellm(ways, seconds, found)
    return found


def _many_streams_of_litellm(ways: Sequence[Way], seconds: float, found: Found) -> None:
    """Once: it needs a minute to fail, and goes on for long after all have hung up, so that nothing else can be measured."""
    (way,) = (way for way in ways if way.name == LITELLM)
    for label, load in LOADS.items():
        if load.streams > 1:
            streams.pace(way, load)
            _streams(way, label, seconds, found)


def _streams(way: Way, label: str, seconds: float, found: Found) -> None:
    try:
        window = uvloop.run(streams.measure(way, LOADS[label].streams, seconds))
    except streams.NotBegun as late:
        if way.name != LITELLM:
            raise
        found.notes.append(str(late))
    else:
        found.windows[way.name, label].append(window)


async def _warm_up(way: Way) -> None:
    """What a first request takes is not what is compared: LiteLLM's takes seconds."""
    client = Client(way.whole_port)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            for _ in range(3):
                answer = await client.ask(request("/v1/chat/completions", _BODY, way.headers))
                if answer.status != 200:
                    raise RuntimeError(f"{way.name} answers {answer.status}: {answer.body[:300]!r}")
    finally:
        client.close()


def _requests(way: Way, script: Path, seconds: float) -> Requests:
    before = run_seconds(way.pids)
    run = run_wrk(
        f"http://127.0.0.1:{way.whole_port}/",
        connections=CONNECTIONS,
        seconds=max(seconds, _LITELLM_SECONDS) if way.name == LITELLM else seconds,
        script=script,
        patience=_PATIENCE_SECONDS,
    )
    if not run.requests:
        raise RuntimeError(f"{way.name} answered nothing: the machine has too much else to do")
    return Requests(run, (run_seconds(way.pids) - before) / run.requests * 1e6)


def _script(way: Way, directory: Path) -> Path:
    file = directory / f"{way.name}.lua"
    headers = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in way.headers.items())
    file.write_text(_WRK.format(body=json.dumps(_BODY)) + headers)
    return file
