"""The paths of bench.ai: each with engines of its own, one that streams and one that answers at once."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.support.engines import answering, streaming
from bench.support.litellm import MASTER_KEY, litellm, wait_for_litellm
from bench.support.marchproxy import running_ailb
from bench.support.peer_files import envoy_config
from bench.support.ports import free_ports
from bench.support.processes import child, family, wait_for_http
from bench.support.routing import RoutingTable
from bench.support.static_copy import manager_of
from marchproxy.engines.envoy.binary import find_envoy

DIRECT, ENVOY, AILB, LITELLM = "direct", "envoy", "ailb", "litellm"
WORDS = {DIRECT: "direct", ENVOY: "Envoy, by hand", AILB: "AILB", LITELLM: "LiteLLM"}
STREAMED, WHOLE = "chat-streamed", "chat-whole"
_KEY = "mp-bench-key"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to engines: where streams and where whole answers are asked for, with which headers; its own engine's port.

    `pids`: every process between client and engine.
    """

    name: str
    stream_port: int
    whole_port: int
    engine_port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    pids: tuple[int, ...] = ()


@contextmanager
def every_way(directory: Path) -> Iterator[tuple[Way, ...]]:
    """All ways, ready. Raises NotReady."""
    names = (DIRECT, ENVOY, AILB, LITELLM)
    ports = free_ports(2 * len(names) + 3)
    engines = dict(zip(names, ports, strict=False))
    answers = dict(zip(names, ports[len(names) :], strict=False))
    first, second, third = ports[-3:]
    with ExitStack() as stack:
        stack.enter_context(streaming(list(engines.values()), directory))
        stack.enter_context(answering(list(answers.values()), directory))
        models = {STREAMED: engines[LITELLM], WHOLE: answers[LITELLM]}
        slow = stack.enter_context(litellm(third, models, directory))
        bare = (
            *stack.enter_context(_bare("envoy-streamed", first, engines[ENVOY], directory)),
            *stack.enter_context(_bare("envoy-whole", second, answers[ENVOY], directory)),
        )
        state = _state({STREAMED: engines[AILB], WHOLE: answers[AILB]})
        ailb = stack.enter_context(running_ailb("ailb", state, directory))
        wait_for_litellm(third, slow, directory)
        own = {"authorization": f"Bearer {_KEY}"}
        theirs = {"authorization": f"Bearer {MASTER_KEY}"}
        yield (
            Way(DIRECT, engines[DIRECT], answers[DIRECT], engines[DIRECT]),
            Way(ENVOY, first, second, engines[ENVOY], pids=bare),
            Way(AILB, ailb.traffic, ailb.traffic, engines[AILB], own, tuple(family(ailb.process.pid))),
            Way(LITELLM, third, third, engines[LITELLM], theirs, tuple(family(slow.pid))),
        )


@contextmanager
def _bare(name: str, port: int, upstream: int, directory: Path) -> Iterator[tuple[int, ...]]:
    """An Envoy that passes on all that it is asked."""
    config = envoy_config(RoutingTable.of(1), port, upstream)
    for host in manager_of(config)["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            route["route"]["timeout"] = "0s"  # streams are long
    file = directory / f"{name}.json"
    file.write_text(json.dumps(config))
    options = ["--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with child(name, [find_envoy(None), "-c", file, *options], directory) as process:
        wait_for_http(f"http://127.0.0.1:{port}/health", process, directory / f"{name}.log")
        yield tuple(family(process.pid))


def _state(models: Mapping[str, int]) -> dict[str, Any]:
    """With what a real one has: a key, three allowances that are never used up, and prices."""
    generous = {"requests_per_minute": 1_000_000_000, "tokens_per_minute": 2_000_000_000}
    return {
        "pools": [
            {"name": name, "endpoints": [f"127.0.0.1:{port}"], "ai": {"provider": "openai_compatible"}}
            for name, port in models.items()
        ],
        "routes": [
            {
                "id": "llm",
                "path": "/",
                "ai": {
                    "models": [{"name": name, "targets": [{"pool": name, "model": "sim"}]} for name in models]
                },
            }
        ],
        "virtual_keys": [
            {"id": "bench", "hash": sha256(_KEY.encode()).hexdigest(), "user": "ann", "team": "bench"}
        ],
        "allowances": [
            {"id": "each-key", "target": "key:*", **generous, "concurrent": 100_000},
            {"id": "team", "target": "team:bench", **generous, "budget_day": 1_000_000_000},
            {"id": "all", "target": "*", **generous},
        ],
        "prices": [{"model": "*", "input": 1.0, "output": 2.0}],
    }
