"""Rounds: every way in turn, again and again; whole answers by wrk, then streams."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench.ai import streams
from bench.ai.paths import LITELLM, WHOLE, Way
from bench.ai.streams import TOKEN_MS, Window
from bench.support.processes import cpu_seconds
from bench.support.wrk import Run, run_wrk

CONNECTIONS = 64
_PATIENCE_SECONDS = 60
_LITELLM_SECONDS = 2.5  # at least: it answers some tens a second
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
    """All that was measured: by way, and by way and number of streams."""

    requests: Mapping[str, list[Requests]] = field(default_factory=lambda: defaultdict(list))
    windows: Mapping[tuple[str, int], list[Window]] = field(default_factory=lambda: defaultdict(list))


def measure(ways: Sequence[Way], directory: Path, *, rounds: int, seconds: float, until: float) -> Found:
    """So many rounds of `seconds` each; after `until`, by the monotonic clock, no further round begins.

    Raises RuntimeError when a request failed.
    """
    found = Found()
    scripts = {way.name: _script(way, directory) for way in ways}
    for way in ways:
        _requests(way, scripts[way.name], 0.3)
    order = list(ways)
    for number in range(rounds):
        for way in order:
            found.requests[way.name].append(_requests(way, scripts[way.name], seconds))
        for count, token_ms in TOKEN_MS.items():
            for way in order:
                # it needs seconds for so many beginnings: once is enough to know
                if way.name == LITELLM and count == max(TOKEN_MS) and (number or until < float("inf")):
                    continue
                streams.pace(way, token_ms)
                window = uvloop.run(streams.measure(way, count, seconds))
                found.windows[way.name, count].append(window)
        order.reverse()  # none is always the first
        if time.monotonic() > until:
            break
    return found


def _requests(way: Way, script: Path, seconds: float) -> Requests:
    before = cpu_seconds(way.pids)
    run = run_wrk(
        f"http://127.0.0.1:{way.whole_port}/",
        connections=CONNECTIONS,
        seconds=max(seconds, _LITELLM_SECONDS) if way.name == LITELLM else seconds,
        script=script,
        patience=_PATIENCE_SECONDS,
    )
    return Requests(run, (cpu_seconds(way.pids) - before) / run.requests * 1e6)


def _script(way: Way, directory: Path) -> Path:
    file = directory / f"{way.name}.lua"
    words = "Say how the weather was. " * 32
    body = {"model": WHOLE, "max_tokens": 64, "messages": [{"role": "user", "content": words}]}
    headers = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in way.headers.items())
    file.write_text(_WRK.format(body=json.dumps(body)) + headers)
    return file
