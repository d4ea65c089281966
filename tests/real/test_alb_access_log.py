"""The ALB's access log as a real Envoy writes it: what is in a line, which requests have one, and what befalls the file."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from marchproxy.modules.http.log_fields import FIELDS
from tests.ports import free_port
from tests.real.support.alb import Alb
from tests.real.support.backends import Backend, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"


def state(backend: Backend) -> dict[str, Any]:
    return {
        "pools": [
            {"name": "shop", "endpoints": [backend.address]},
            {"name": "dead", "endpoints": [f"127.0.0.1:{free_port()}"]},
        ],
        "routes": [
            {"id": "shop", "hosts": ["shop.test"], "backends": ["shop"]},
            {"id": "dead", "hosts": ["dead.test"], "backends": ["dead"]},
        ],
    }


class Logged:
    """An ALB whose access log is looked at."""

    def __init__(self, alb: Alb, client: httpx.AsyncClient, path: Path) -> None:
        self.alb, self._client, self.path = alb, client, path

    async def ask(self, path: str, host: str = "shop.test", **headers: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.alb.port}{path}"
        return await self._client.get(url, headers={"host": host, **headers})

    def lines(self) -> list[dict[str, Any]]:
        """All lines, those put aside included; the last may be half written yet."""
        files = sorted(self.path.parent.glob(f"{self.path.name}*"))
        whole = [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
        return [json.loads(line) for line in whole if line.endswith(b"}\n")]

    async def until(self, ready: Callable[[list[dict[str, Any]]], Any], within: float = 30) -> None:
        async with asyncio.timeout(within):
            while not ready(self.lines()):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def logging(directory: Path, **access_log: Any) -> AsyncIterator[Logged]:
    async with serving("shop") as (backend,), httpx.AsyncClient(trust_env=False, timeout=30) as client:
        alb = Alb(directory, state(backend), access_log=access_log, drain_seconds=0)
        path = Path(access_log.get("path", directory / "s" / "alb-1" / "access.log"))
        try:
            yield Logged(await alb.start(), client, path)
        finally:
            await alb.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_what_a_line_says(tmp_path: Path) -> None:
    async with logging(tmp_path, fields=list(FIELDS)) as log:
        await log.ask(
            "/echo/a?secret=1",
            **{
                "user-agent": "tester",
                "referer": "http://from.test/",
                "x-request-id": "mine",
                "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
            },
        )
        await log.ask("/x", host="dead.test")
        await log.ask("/x", host="nobody.test")
        await log.until(lambda lines: len(lines) == 3)
        by_host = {line["host"]: line for line in log.lines()}
    good, dead, nobody = (by_host[f"{name}.test"] for name in ("shop", "dead", "nobody"))
    assert good["status"] == 200
    wanted = {
        "method": "GET",
        "path": "/echo/a",
        "query": "secret=1",
        "protocol": "HTTP/1.1",
        "route": "shop",
        "pool": "shop",
        "user_agent": "tester",
        "referer": "http://from.test/",
        "request_id": "mine",
        "attempts": 1,
    }
    assert wanted.items() <= good.items()
    assert good["client"].startswith("127.0.0.1:")
    assert good["endpoint"].startswith("127.0.0.1:")
    assert good["sent"] > 0
    assert good["duration_ms"] >= good["backend_ms"] >= 0
    assert (dead["status"], dead["route"], dead["pool"]) == (503, "dead", "dead")
    assert "UpstreamConnectionFailure" in dead["flags"]
    assert dead["attempts"] == 3  # the first, and two that were tried again
    assert (nobody["status"], nobody["flags"]) == (404, "NoRouteFound")
    assert {"route", "pool", "endpoint"}.isdisjoint(nobody)
    assert len({line["request_id"] for line in by_host.values()}) == 3  # made where a request has none


async def test_fields_of_ones_own(tmp_path: Path) -> None:
    fields = {"code": "status", "tenant": "%REQ(X-TENANT)%", "share": "100%%"}
    async with logging(tmp_path, fields=fields) as log:
        await log.ask("/", **{"x-tenant": "t1"})
        await log.until(bool)
        assert log.lines() == [{"code": 200, "tenant": "t1", "share": "100%"}]


async def test_a_share_is_logged_and_what_went_wrong_always(tmp_path: Path) -> None:
    always = {"status_from": 500, "slower_than": "1s"}
    fields = ["status", "path", "duration_ms"]
    requests, share = 1000, 0.2
    async with logging(tmp_path, fields=fields, sample_percent=share * 100, always=always) as log:
        pause = asyncio.Semaphore(16)

        async def ask(path: str) -> None:
            async with pause:
                await log.ask(path)

        async with asyncio.TaskGroup() as group:
            for path in ["/slow/1.2"] * 3 + ["/quick"] * requests + ["/status/500"] * 40:
                group.create_task(ask(path))
        # this one is written with or after all before it
        await log.ask("/slow/1.3")
        await log.until(lambda lines: any(line["path"] == "/slow/1.3" for line in lines))
        lines = log.lines()
    assert sum(line["status"] == 500 for line in lines) == 40
    assert sum(line["path"] == "/slow/1.2" for line in lines) == 3
    quick = [line["duration_ms"] for line in lines if line["path"] == "/quick"]
    held_up = sum(took >= 1000 for took in quick)  # by a busy machine: always logged
    drawn, of = len(quick) - held_up, requests - held_up
    # 4.5 standard deviations: 7 in a million
    assert abs(drawn - of * share) < 4.5 * (of * share * (1 - share)) ** 0.5


async def test_no_line_is_lost_when_files_are_put_aside_under_load(tmp_path: Path) -> None:
    fields = {"number": "%REQ(X-NUMBER)%", "padding": "%REQ(X-PADDING)%"}
    async with logging(tmp_path, fields=fields, max_megabytes=1, keep=100) as log:
        asked, padding = 0, "x" * 8000
        async with asyncio.timeout(60):
            while not log.path.with_name("access.log.3").exists():
                async with asyncio.TaskGroup() as group:
                    for number in range(asked, asked + 20):
                        headers = {"x-number": str(number), "x-padding": padding}
                        group.create_task(log.ask("/", **headers))
                asked += 20
        await log.until(lambda lines: len(lines) >= asked)
        numbers = sorted(int(line["number"]) for line in log.lines())
    assert numbers == list(range(asked))


async def test_a_file_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    async with logging(tmp_path, fields=["path"]) as log:
        await log.ask("/before")
        await log.until(bool)
        log.path.unlink()
        async with asyncio.timeout(30):
            while not log.path.exists():
                await asyncio.sleep(0.05)
                assert (await log.ask("/meanwhile")).status_code == 200
        async with asyncio.timeout(30):
            while not any(line["path"] == "/after" for line in log.lines()):
                assert (await log.ask("/after")).status_code == 200
                await asyncio.sleep(0.05)


async def test_a_full_disk_harms_no_request(tmp_path: Path, tiny_disk: Path) -> None:
    filler = tiny_disk / "filler"
    fields = {"path": "path", "padding": "%REQ(X-PADDING)%"}
    async with logging(tmp_path, fields=fields, path=str(tiny_disk / "access.log")) as log:
        await log.ask("/before", **{"x-padding": "x"})
        await log.until(bool)
        filler.write_bytes(b"x" * 48 * 1024)
        for _ in range(100):  # ten times what is left
            assert (await log.ask("/meanwhile", **{"x-padding": "x" * 8000})).status_code == 200
        filler.unlink()
        log.path.write_bytes(b"")  # as an operator does who needs room
        async with asyncio.timeout(30):
            while b'"path":"/after"' not in log.path.read_bytes():
                assert (await log.ask("/after", **{"x-padding": "x"})).status_code == 200
                await asyncio.sleep(0.05)


async def test_lines_to_our_own_output(tmp_path: Path) -> None:
    async with logging(tmp_path, fields=["path", "status"], path="stdout") as log:
        await log.ask("/to-stdout")
        async with asyncio.timeout(30):
            while b'{"path":"/to-stdout","status":200}\n' not in log.alb.log.read_bytes():
                await asyncio.sleep(0.05)


async def test_an_envoy_that_outlives_us_writes_on(tmp_path: Path) -> None:
    async with logging(tmp_path, fields=["path"]) as log:
        await log.ask("/one")
        await log.alb.kill()
        await log.ask("/two")
        await log.until(lambda lines: len(lines) == 2)
        log.path.rename(
            log.path.with_name("access.log.1")
        )  # as if we had died in the middle of putting it aside
        before = log.alb.envoys()
        await log.alb.start()
        assert log.alb.envoys() == before
        async with asyncio.timeout(30):
            while not log.path.exists() or b"/three" not in log.path.read_bytes():
                await log.ask("/three")
                await asyncio.sleep(0.05)
