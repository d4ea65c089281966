"""A fleet of ALBs divides its rate limits: real Envoys and a real NLB."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from marchproxy.contract.pb import module_pb2 as pb
from tests.nlb_module import free_port
from tests.real.nlb_rig import NlbProcess, listener, nlb_process
from tests.real.support.alb import Alb
from tests.real.support.process import kill_left
from tests.real.test_alb_limits import answered, passed, running


class Fleet:
    """ALBs that one NLB knows; requests go to each of them past the NLB, so that the test says who counts what."""

    def __init__(self, nlb: NlbProcess, albs: list[Alb]) -> None:
        self.nlb, self.albs = nlb, albs

    async def until_divided_by(self, instances: int) -> None:
        """Wait until each says that it divides by so many, and its Envoy does."""
        async with asyncio.timeout(60):
            for alb in self.albs:
                while {await self._told(alb), await self._members(alb)} != {instances}:
                    await asyncio.sleep(0.05)

    async def _told(self, alb: Alb) -> int:
        answer: pb.GetRateLimitsResponse = await alb.stub.GetRateLimits(pb.GetRateLimitsRequest())
        return answer.instances_of_type

    async def _members(self, alb: Alb) -> int:
        admin = alb.settings["envoy"]["admin"]
        stat = "cluster.marchproxy_fleet.membership_total"
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=5) as client:
            text = (await client.get(f"http://{admin}/stats?filter=^{stat}$")).text
        return int(text.partition(":")[2] or 0)

    async def passed(self, host: str, times: int) -> list[int]:
        """How many requests each of them lets through."""
        return [await passed(alb, host, times) for alb in self.albs]


@asynccontextmanager
async def fleet(tmp_path: Path, size: int, state: dict[str, Any]) -> AsyncIterator[Fleet]:
    (tmp_path / "nlb").mkdir()
    async with AsyncExitStack() as stack:
        nlb, _ = await stack.enter_async_context(
            nlb_process(tmp_path / "nlb", listener(free_port()), heartbeat=2.0)
        )
        known = {"nlbs": [f"127.0.0.1:{nlb.grpc_port}"], "heartbeat_interval": 0.5}
        albs = [
            await stack.enter_async_context(running(tmp_path / str(n), state, id=f"alb-{n}", **known))
            for n in range(size)
        ]
        yield Fleet(nlb, albs)


async def test_a_fleet_divides_a_limit_and_a_lost_instance_gives_its_share_back(tmp_path: Path) -> None:
    state = {
        "routes": answered("hour", "tiny", "whole", "later", "second"),
        "rate_limits": [
            {"id": "hour", "target": "hour", "requests_per_hour": 30},
            {"id": "tiny", "target": "tiny", "requests_per_hour": 1},
            {"id": "whole", "target": "whole", "requests_per_hour": 30, "shared": False},
            {"id": "later", "target": "later", "requests_per_hour": 30},
            {"id": "second", "target": "second", "requests_per_second": 30},
        ],
    }
    async with fleet(tmp_path, 3, state) as three:
        await three.until_divided_by(3)
        assert await three.passed("hour", 14) == [10, 10, 10]
        assert await three.passed("tiny", 4) == [1, 1, 1]  # its turn comes every three hours on each
        assert await three.passed("whole", 32) == [30, 30, 30]

        began, total = time.monotonic(), 0
        while time.monotonic() - began < 2:
            total += sum(await three.passed("second", 8))
        assert 15 < total <= 30 + 30 * (time.monotonic() - began)

        lost = three.albs.pop()
        await lost.kill()
        kill_left(lost.directory)
        await three.until_divided_by(2)
        assert await three.passed("hour", 3) == [0, 0]  # what was counted stays counted
        assert await three.passed("later", 18) == [15, 15]


async def test_shares_outlive_the_nlb_and_one_that_leaves_gives_its_own_back(tmp_path: Path) -> None:
    state = {
        "routes": answered("hour", "later"),
        "rate_limits": [
            {"id": "hour", "target": "hour", "requests_per_hour": 30},
            {"id": "later", "target": "later", "requests_per_hour": 30},
        ],
    }
    async with fleet(tmp_path, 2, state) as two:
        await two.until_divided_by(2)
        await two.nlb.kill()
        await two.albs[0].kill()
        await two.albs[0].start()  # nobody tells it how many there are; what it knew holds
        await two.until_divided_by(2)
        assert await two.passed("hour", 18) == [15, 15]

        await two.nlb.start()
        gone = two.albs.pop()
        await gone.close()
        await two.until_divided_by(1)
        assert await two.passed("later", 33) == [30]
