"""`marchproxy demo`: the acceptance test of the whole chain."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.real.support.process import naming, start

DEMO = (sys.executable, "-m", "marchproxy", "demo")


async def test_every_claim_holds(tmp_path: Path):
    process = await start((*DEMO, "--json"), tmp_path / "demo.log", {"TMPDIR": str(tmp_path)})
    code = await process.ended(60)
    text = process.log.read_text()
    story = json.loads(text.splitlines()[-1])
    broken = [claim for chapter in story["chapters"] for claim in chapter["claims"] if not claim["holds"]]
    assert broken == []
    assert code == 0
    assert story["ok"] is True
    loads = {chapter["title"]: chapter["load"] for chapter in story["chapters"] if chapter["load"]}
    assert abs(loads["A canary: 5 % to v2"]["percent"]["v2"] - 5) <= 1.5
    assert abs(loads["A canary: 50 % to v2"]["percent"]["v2"] - 50) <= 1.5
    assert sum(load["failed"] for load in loads.values()) == 0
    assert loads["A rate limit"]["statuses"]["429"] > 0
    await nothing_is_left(tmp_path)


@pytest.mark.parametrize("after", [0.5, 1.2, 4.0])
async def test_ctrl_c(tmp_path: Path, after: float):
    process = await start(DEMO, tmp_path / "demo.log", {"TMPDIR": str(tmp_path)})
    await asyncio.sleep(after)  # the moment is the point of the test
    process.send(signal.SIGINT)
    assert await process.ended(30) == 130
    assert "Traceback" not in process.log.read_text()
    await nothing_is_left(tmp_path)


async def nothing_is_left(folder: Path) -> None:
    async with asyncio.timeout(20):
        while naming(folder / "marchproxy-demo"):
            await asyncio.sleep(0.1)
    assert [path.name for path in folder.iterdir()] == ["demo.log"]
