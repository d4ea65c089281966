"""The programs of others that judge the AILB, in a virtual environment of their own; and an AILB before their engines.

`make judges` installs them (scripts/install-packages.sh judges); JUDGES_VENV says where else they are.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.real.ailb_rig import KEY, key, pool
from tests.real.support.databases import run, served

VENV = Path(os.environ.get("JUDGES_VENV", ".venv-judges")).absolute()
MAKER = Path(__file__).with_name("tiny_llama.py")
#: Nobody asks a hub for anything: all that is needed is made here.
OFFLINE = ("env", "HF_HUB_OFFLINE=1", "LITELLM_LOCAL_MODEL_COST_MAP=True")
#: Importing torch takes half a minute the first time.
PATIENCE = 180.0


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """The command of a program from there."""
    path = VENV / "bin" / name
    assert path.exists(), f"{path} is not there: run scripts/install-packages.sh judges, or set JUDGES_VENV"
    return (*OFFLINE, str(path), *arguments)


async def tiny_llama(folder: Path) -> Path:
    """The folder of a Llama with random weights, with a tokenizer of its own."""
    made = folder / "tiny-llama"
    await run(*program("python", str(MAKER), str(made)), within=PATIENCE)
    return made


@asynccontextmanager
async def mock_server(folder: Path) -> AsyncIterator[str]:
    """guidellm's, with answers of about 20 tokens; its address."""
    folder.mkdir()
    port = free_port()
    times = ("--ttft-ms", "5", "--itl-ms", "2", "--itl-ms-std", "1")
    tokens = ("--output-tokens", "20", "--output-tokens-std", "3")  # never none at all
    where = ("--host", "127.0.0.1", "--port", str(port), "--model", "mock")
    command = program("guidellm", "mock-server", *where, *times, *tokens)
    async with served(command, folder, port, within=PATIENCE):
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def transformers_server(folder: Path, model: Path) -> AsyncIterator[str]:
    """`transformers serve` with this model; its address. It writes one answer after the other, not two at once."""
    folder.mkdir()
    port = free_port()
    options = ("--device", "cpu", "--host", "127.0.0.1", "--port", str(port))
    command = program("transformers", "serve", str(model), *options)
    async with served(command, folder, port, within=PATIENCE):
        yield f"127.0.0.1:{port}"


def document(engines: dict[str, str], models: dict[str, str], keys: Sequence[str] = ()) -> dict[str, Any]:
    """A pool and a model for each engine, by name; `models`: what their engines call them. `…-direct` goes past the relays.

    A key of each of these names, besides `main`.
    """
    pools = [
        pool(name + end, [address], "openai_compatible", in_band_errors=not end)
        for name, address in engines.items()
        for end in ("", "-direct")
    ]
    targets = [
        {"name": name + end, "targets": [{"pool": name + end, "model": models[name]}]}
        for name in engines
        for end in ("", "-direct")
    ]
    return {
        "pools": pools,
        "routes": [{"id": "llm", "path": "/", "ai": {"models": targets, "first_byte_timeout": "60s"}}],
        "virtual_keys": [key("main", KEY), *(key(name, secret_of(name)) for name in keys)],
        "prices": [{"model": "*", "input": 1.0, "output": 10.0}],
    }


def secret_of(name: str) -> str:
    """What the owner of the key with this name shows."""
    return f"mp-judge-{name:->16}"
