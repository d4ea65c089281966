"""Rate limits of an ALB: what keeps their count, and how a refusal is worded, against a real Envoy."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.real.support.alb import Alb, pool, route
from tests.real.support.asking import ask, route_of

OK = {"status": 200, "body": "ok"}


async def passed(alb: Alb, host: str, times: int, headers: Mapping[str, str] | None = None) -> int:
    """How many of so many requests were answered; the others met the limit."""
    asking = {"host": f"{host}.test", **(headers or {})}
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=10, headers=asking) as client:
        seen = [(await client.get(f"http://127.0.0.1:{alb.port}/")).status_code for _ in range(times)]
    assert set(seen) <= {200, 429}
    return seen.count(200)


def answered(*names: str) -> list[dict[str, Any]]:
    """Routes that ask no backend."""
    return [route_of(name, response=OK) for name in names]


def limit(name: str, **rates: Any) -> types_pb2.RateLimit:
    return types_pb2.RateLimit(limit_id=name, target=name, enabled=True, **rates)


async def put_limit(alb: Alb, given: types_pb2.RateLimit) -> None:
    answer = await alb.stub.SetRateLimit(pb.SetRateLimitRequest(limit=given))
    assert answer.success, answer


@asynccontextmanager
async def running(folder: Path, state: dict[str, Any], **settings: Any) -> AsyncIterator[Alb]:
    folder.mkdir(exist_ok=True)
    alb = Alb(folder, state, **settings)
    try:
        yield await alb.start()
    finally:
        await alb.close()


async def test_a_count_outlives_fifty_changes_around_it(tmp_path: Path) -> None:
    state = {
        "routes": answered("kept", "each", "all"),
        "rate_limits": [
            {"id": "kept", "target": "kept", "requests_per_hour": 5},
            {"id": "each", "target": "each", "per": "client", "requests_per_hour": 5},
            {"id": "everything", "target": "*", "per": "header:x-tenant", "requests_per_hour": 5},
        ],
    }
    async with running(tmp_path, state) as alb:
        left = {"kept": 0, "each": 0, "all": 0}
        for number in range(50):
            pools = (pool("spare", f"127.0.0.1:{1 + number}"),) if number % 10 == 0 else ()
            await alb.put(route("other", path=f"/{number}", spare=100), pools=pools)
            if number % 5 == 0:
                # of a route whose filter the others are not in
                await put_limit(alb, limit("other", requests_per_hour=1 + number))
                for host in left:
                    tenant = "mine" if host == "all" else f"{host} {number}"
                    left[host] += await passed(alb, host, 1, headers={"x-tenant": tenant})
        assert left == {"kept": 5, "each": 5, "all": 5}


async def test_a_limit_that_changes_leaves_others_alone(tmp_path: Path) -> None:
    """Of 20 routes, those whose filter another one is not in keep their count."""
    names = [f"r{number}" for number in range(20)]
    state = {
        "routes": answered(*names),
        "rate_limits": [{"id": name, "target": name, "requests_per_hour": 1} for name in names],
    }
    async with running(tmp_path, state) as alb:
        assert [await passed(alb, name, 2) for name in names] == [1] * 20
        await put_limit(alb, limit("r0", requests_per_hour=2))
        assert await passed(alb, "r0", 3) == 2
        anew = [name for name in names[1:] if await passed(alb, name, 1)]
        assert len(anew) < 8, anew
        assert (await alb.stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="r0"))).success
        assert await passed(alb, "r0", 9) == 9


async def test_how_a_refusal_is_worded(tmp_path: Path) -> None:
    state = {
        "routes": answered("both"),
        "rate_limits": [
            {"id": "both", "target": "both", "requests_per_minute": 2, "requests_per_hour": 60},
            {"id": "everything", "target": "*", "requests_per_second": 1000},
        ],
    }
    async with running(tmp_path, state) as alb:
        assert await passed(alb, "both", 2) == 2
        refused = await ask(alb, "both")
        assert refused.status_code == 429
        # one more fits in the minute after 30 s, in the hour after 60 s
        assert refused.headers.get_list("retry-after") == ["60"]
        assert refused.headers["x-ratelimit-remaining"].startswith("0")
