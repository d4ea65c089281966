"""The OpenAPI document against the manager itself: schemathesis makes requests of it, and judges every answer."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.real.support.manager import manager_alone
from tests.real.support.up import example

#: Bodies of the desired state are read as people write them: "5s" and "yes" are taken where the schema has a number.
DOCUMENTS = (
    "listeners|routes|pools|rate-limits|authentication|virtual-keys|allowances|prices|guardrails|scaling"
    "|state|apply|validate|diff"
)
#: Each password takes a tenth of a second.
SLOW = "users|session"
#: What needs an NLB.
OPERATIONS = "explain|rebalance|modules/.*"
SETTINGS = f"""
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 415, 422, 429]
[checks.negative_data_rejection]
expected-statuses = ["4xx"]
[[operations]]
include-path-regex = "^/api/v1/({DOCUMENTS})(/.*)?$"
checks.negative_data_rejection.enabled = false
"""


pytestmark = pytest.mark.timeout(400)


async def judge(folder: Path, url: str, key: str, *options: str) -> None:
    """Fails with schemathesis's own words."""
    settings = folder / "schemathesis.toml"
    settings.write_text(SETTINGS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings)),
        *("run", f"{url}/api/v1/openapi.json", "--header", f"Authorization: Bearer {key}"),
        *("--exclude-path", "/api/v1/events/stream", "--request-timeout", "20", "--no-color", *options),
        *("--generation-deterministic", "--suppress-health-check", "all"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(150):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    assert process.returncode == 0, text[-6000:]
    assert " passed" in text, text[-6000:]


def but(*paths: str) -> Sequence[str]:
    return ("--exclude-path-regex", f"^/api/v1/({'|'.join(paths)})(/.*)?$")


async def test_a_manager_alone_keeps_to_its_schema(tmp_path):
    """Every operation with made-up values; those without documents with every kind of fault, too."""
    async with manager_alone(tmp_path) as alone:
        key = (alone.home / "local.key").read_text().strip()
        few = ("--phases", "examples,fuzzing", "--max-examples", "1")
        await judge(tmp_path, alone.url, key, *few, *but(OPERATIONS))
        await judge(tmp_path, alone.url, key, "--phases", "coverage", *but(OPERATIONS, DOCUMENTS, SLOW))
        log = alone.process.log.read_text()
    assert "a request failed" not in log


async def test_with_an_nlb(tmp_path):
    """What is asked of an NLB and its modules, which may refuse, but not fail."""
    port = free_port()
    async with example(tmp_path) as up:
        section = f'manager: {{http: "127.0.0.1:{port}", metrics: "127.0.0.1:{free_port()}"}}\n'
        up.file.write_text(section + up.file.read_text())
        await up.launch()
        await up.says("ready:", within=60)
        url = f"http://127.0.0.1:{port}"
        key = (up.state / "manager-1" / "local.key").read_text().strip()
        asked = ("--include-path-regex", r"^/api/v1/(explain|modules|instances|live|rollouts|health|metrics)")
        await judge(tmp_path, url, key, "--phases", "examples,fuzzing", "--max-examples", "2", *asked)
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
            parts = (await client.get("/api/v1/instances")).json()["items"]
            assert [part["kind"] for part in parts] == ["alb"]
