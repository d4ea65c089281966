"""Thousands of prepared statements, again and again: the memory of DBLB does not grow with how often they are said."""

from tests.real.dblb_rig import dblb
from tests.real.support.databases import postgres
from tests.real.support.memory import churn, resident_mb

_CLIENTS, _STATEMENTS = 50, 2500
_MOST_MB = 40.0


async def test_memory_stays_flat(tmp_path):
    async with postgres() as server:
        kinds = {"db": {"size": 20, "wait": 60}}
        async with dblb(tmp_path, "postgres", [f"127.0.0.1:{server}"], kinds) as system:
            await churn(system.direct, clients=_CLIENTS, statements=_STATEMENTS, seconds=2, round_=0)
            warm = resident_mb(system.workers())
            for number in range(1, 3):
                await churn(system.direct, clients=_CLIENTS, statements=_STATEMENTS, seconds=2, round_=number)
            grown = resident_mb(system.workers()) - warm
    assert grown < _MOST_MB
