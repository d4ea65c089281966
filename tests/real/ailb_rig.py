"""An AILB before simulated engines: what its document says, its clients, and what it has billed."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import anthropic
import openai

from tests.real.support.alb import Alb
from tests.real.support.engines import Engines
from tests.real.support.waiting import until

KEY = "mp-0123456789abcdef"
GOOD, BAD, CLAUDE, QUICK = "good", "bad", "claude", "quick"
FALLBACKS = ("status-500", "status-429", "reset", "reset-0", "stall", "stall-0", "garbage")
"""What the first of two pools does wrong, for the models `fallback-…`."""


def key(name: str, secret: str, **fields: Any) -> dict[str, Any]:
    """A virtual key."""
    return {"id": name, "hash": sha256(secret.encode()).hexdigest(), **fields}


def pool(name: str, addresses: Sequence[str], provider: str = "vllm", **fields: Any) -> dict[str, Any]:
    """A pool of engines."""
    return {"name": name, "endpoints": list(addresses), "ai": {"provider": provider, **fields}}


def document(good: Engines, bad: Engines, **route: Any) -> dict[str, Any]:
    """Any model whose name begins with `sim` or `claude` (an Anthropic), `quick-…` past the relays, and `fallback-…`.

    `cheap` is one with a price. What a name says behind a `+`, its engine does wrong.
    """
    fallbacks = [
        {
            "name": f"fallback-{fault}",
            "targets": [
                {"pool": BAD, "model": f"sim+{fault}", "tier": 0},
                {"pool": GOOD, "model": "sim", "tier": 1},
            ],
        }
        for fault in FALLBACKS
    ]
    models = [
        {"name": "sim*", "targets": [GOOD]},
        {"name": "claude*", "targets": [CLAUDE]},
        {"name": "quick*", "targets": [{"pool": QUICK, "model": "sim"}]},
        *fallbacks,
    ]
    return {
        "pools": [
            pool(GOOD, good.addresses),
            pool(BAD, bad.addresses, "openai_compatible"),
            pool(CLAUDE, good.addresses, "anthropic"),
            pool(QUICK, good.addresses, in_band_errors=False),
        ],
        "routes": [
            {
                "id": "llm",
                "path": "/",
                "ai": {"models": models, "first_byte_timeout": "1s", **route},
            }
        ],
        "virtual_keys": [key("main", KEY, user="ann", team="one")],
        "prices": [{"model": "*", "input": 1.0, "output": 10.0}],
    }


@asynccontextmanager
async def ailb(directory: Path, state: dict[str, Any], **settings: Any) -> AsyncIterator[Alb]:
    """Running for the length of the block."""
    started = Alb(directory, state, type="ailb", id="ailb-1", **{"relays": 1, **settings})
    try:
        yield await started.start()
    finally:
        await started.close()


@asynccontextmanager
async def openai_client(gateway: Alb, secret: str = KEY, **options: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client, which does not try again unless it is told to."""
    base = f"http://127.0.0.1:{gateway.port}/v1"
    options = {"max_retries": 0, "timeout": 30, "base_url": base, **options}
    async with openai.AsyncOpenAI(api_key=secret, **options) as client:
        yield client


@asynccontextmanager
async def anthropic_client(
    gateway: Alb, secret: str = KEY, **options: Any
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """The same of Anthropic's."""
    options = {"max_retries": 0, "timeout": 30, **options}
    async with anthropic.AsyncAnthropic(
        api_key=secret, base_url=f"http://127.0.0.1:{gateway.port}", **options
    ) as client:
        yield client


@contextmanager
def sync_openai(gateway: Alb) -> Iterator[openai.OpenAI]:
    """OpenAI's client for threads."""
    base = f"http://127.0.0.1:{gateway.port}/v1"
    with openai.OpenAI(api_key=KEY, base_url=base, max_retries=0, timeout=30) as client:
        yield client


def billed(gateway: Alb) -> list[dict[str, Any]]:
    """The entries of its journal."""
    files = sorted(Path(gateway.settings["state_dir"]).rglob("usage-*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line) for line in lines]


async def billed_of(gateway: Alb, request_id: str) -> dict[str, Any]:
    """The entry of a request, which is written a little after it has ended."""

    def written() -> list[dict[str, Any]]:
        return [entry for entry in billed(gateway) if entry["request_id"] == request_id]

    await until(written)
    (entry,) = written()
    return entry
