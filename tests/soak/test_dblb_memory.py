"""Ten minutes with 500 clients and 5,000 prepared statements: the memory of DBLB stays flat (`make soak`)."""

import pytest

from tests.real.dblb_rig import dblb
from tests.real.support.databases import postgres
from tests.real.support.memory import churn, resident_mb

_ROUND_SECONDS, _ROUNDS = 30, 20
_MOST_MB = 40.0


@pytest.mark.timeout(1200)
async def test_memory_stays_flat(tmp_path):
    async with postgres() as server:
        kinds = {"db": {"size": 40, "wait": 60}}
        async with dblb(tmp_path, "postgres", [f"127.0.0.1:{server}"], kinds) as system:
            seen = []
            for number in range(_ROUNDS):
                await churn(
                    system.direct, clients=500, statements=5000, seconds=_ROUND_SECONDS, round_=number
                )
                seen.append(round(resident_mb(system.workers()), 1))
                print(f"after {len(seen) * _ROUND_SECONDS} s: {seen[-1]} MiB", flush=True)  # noqa: T201
    assert max(seen[2:]) - seen[1] < _MOST_MB, seen
