"""What a process leaves on disk is what the next one finds, or nothing."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from marchproxy.model.judging import RolloutLimits, Sample
from marchproxy.model.module import Version
from marchproxy.model.ramp import Ramp, Shift
from marchproxy.model.rollout import Decision, Phase, Rollout, Verdict
from marchproxy.modules.base.keeper import Keeper
from marchproxy.modules.base.running import Running
from tests.unit.modules.doubles import STATE

NOW = datetime(2030, 1, 1, 12, 30, 0, 125, tzinfo=UTC)
DECISIONS = (
    Decision(NOW, Verdict.ADVANCED, "started", 0, 30),
    Decision(NOW, Verdict.ROLLED_BACK, "why", 30, 0, Sample(200, 6, 1.5), Sample(600, 0, 0.5), 0.0002),
)
RAMP = Ramp(
    Rollout(Version("v2"), 30, "shop", Phase.ROLLED_BACK, "why", DECISIONS),
    RolloutLimits(step_percent=7, steps=(5, 30)),
    NOW,
)
FULL = (
    Running(STATE, "c" * 64, modified=True, updated_at=NOW)
    .with_shift("shop", Shift(Version("v1"), NOW))
    .with_ramp(RAMP)
)


def kept(path: Path, running: Running) -> Keeper:
    keeper = Keeper(path)
    keeper.keep(running)
    keeper.flush()
    return keeper


@pytest.mark.parametrize("running", [Running(), Running(STATE, "abc"), FULL, FULL.on_leave()])
def test_round_trip(tmp_path: Path, running: Running) -> None:
    path = tmp_path / "deep" / "state.json"
    kept(path, running)
    assert Keeper(path).load() == running
    assert path.stat().st_mode & 0o077 == 0


def test_nothing_kept_is_not_worth_a_word(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert Keeper(tmp_path / "state.json").load() is None
    assert logs == []


def damage(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        content = json.loads(data)
        change(content)
        return json.dumps(content).encode()

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"\x00\xff garbage",
        lambda data: b"[1, 2]",
        lambda data: b"null",
        lambda data: data[: len(data) // 2],
        damage(lambda c: c.update(format=99)),
        damage(lambda c: c.pop("ramps")),
        damage(lambda c: c.update(document=c["document"].replace("blue", "teal"))),
        damage(lambda c: c.update(document=7)),
        damage(lambda c: c.update(updated_at="yesterday")),
        damage(lambda c: c["ramps"][0]["rollout"].update(phase="unheard-of")),
        damage(lambda c: c["ramps"][0]["limits"].update(unknown=1)),
        damage(lambda c: c.update(shifts=[])),
    ],
)
def test_what_cannot_be_read_is_nothing_and_said_so(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "state.json"
    kept(path, FULL)
    path.write_bytes(spoil(path.read_bytes()))
    with capture_logs() as logs:
        assert Keeper(path).load() is None
    assert [(entry["log_level"], entry["path"]) for entry in logs] == [("warning", str(path))]


def test_a_disk_that_refuses_is_logged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with capture_logs() as logs:
        kept(tmp_path / "file" / "state.json", FULL)
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_a_burst_is_one_write_and_the_last_word_is_written_on_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    keeper = Keeper(path)
    for checksum in ("a", "b", "c"):
        keeper.keep(Running(STATE, checksum))
    task = asyncio.create_task(keeper.run())
    async with asyncio.timeout(5):
        while not path.exists():
            await asyncio.sleep(0.001)
    assert Keeper(path).load() == Running(STATE, "c")
    keeper.keep(FULL)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert Keeper(path).load() == FULL
