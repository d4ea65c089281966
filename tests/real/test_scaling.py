"""Autoscaling for real: an NLB, an ALB that launches replicas as processes, and load that comes and goes."""

from pathlib import Path

import httpx

from marchproxy.contract.pb import nlb_pb2
from tests.real.support.backends import serving
from tests.real.support.load import load
from tests.real.support.system import System, running

QUICK = {"scaling_interval": 1, "scaling_window": 3}
SCALING = {"module": "alb", "max_instances": 3, "target_connections": 4, "cooldown": 1}


async def told(system: System) -> str:
    """The last decision, in the NLB's words."""
    status = await system.nlb_stub().GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), timeout=20)
    return status.details["scaling alb"]


async def test_load_brings_instances_and_its_end_removes_them(tmp_path: Path) -> None:
    async with serving("web") as (web,):
        state = {
            "routes": [{"id": "web", "backends": ["web"]}],
            "pools": [{"name": "web", "endpoints": [web.address]}],
            "scaling": [SCALING],
        }
        async with running(tmp_path, state, nlb_settings=QUICK) as system:
            async with load(system.port, connections=1, pause=0.005, keep_alive=False) as steady:
                async with load(system.port, connections=9, pause=0.01) as burst:
                    await system.targets({"alb-1", "alb-1.2", "alb-1.3"})
                    assert "connections" in await told(system)
                    await burst.more(200)
                await system.targets({"alb-1"})
                await steady.more(50)
            assert steady.bad() + burst.bad() == []
            async with httpx.AsyncClient(trust_env=False) as client:
                metrics = (await client.get(f"http://127.0.0.1:{system.nlb.metrics}/metrics")).text
            for way in ("up", "down"):
                assert f'marchproxy_nlb_scaling_decisions_total{{decision="{way}",type="alb"}}' in metrics
            await system.members({"alb-1"})
