"""Where CanHandle says that a request would go is where it goes: by the hash exactly, by weights as often as it says."""

import asyncio
import math
import os
import signal
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
import yaml

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.real.support.alb import Alb
from tests.real.support.backends import Backend, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = 100
SAMPLES = 400
HASHED = ("maglev", "ring", "maglev-even", "ring-even")
#: Chi-squared above which a fair draw comes once in 100,000, by degrees of freedom.
RARE = {1: 19.5, 2: 23.0, 3: 25.9}


def document(backends: list[Backend], file: str) -> dict:
    one, two, three, four = (backend.address for backend in backends[:4])
    uneven = [{"address": one, "weight": 5}, {"address": two, "weight": 2}, three, four]
    even = [one, two, three]
    pools = [
        {"name": "maglev", "endpoints": uneven, "hash_table": "maglev"},
        {"name": "ring", "endpoints": uneven, "hash_table": "ring"},
        {"name": "maglev-even", "endpoints": even, "hash_table": "maglev"},
        {"name": "ring-even", "endpoints": even, "hash_table": "ring"},
        {"name": "source", "endpoints": even, "balance": "source_hash"},
        {"name": "least", "endpoints": even},
        {"name": "turns", "endpoints": [{"address": one, "weight": 3}, two], "balance": "round_robin"},
        {"name": "random", "endpoints": [{"address": one, "weight": 9}, two, three], "balance": "random"},
        {"name": "found", "discovery": {"file": file, "interval": 0.5}},
        {"name": "named", "endpoints": [f"localhost:{backends[4].port}"]},
        {
            "name": "half-dead",
            "endpoints": [one, "127.0.0.1:1"],
            "health_check": {"interval": 0.2, "timeout": 0.2},
        },
        {
            "name": "failing",
            "endpoints": [one, "127.0.0.1:2"],
            "outliers": {"consecutive_errors": 1, "ejection_time": 300, "max_ejected_percent": 50},
        },
    ]
    by_header = {"kind": "header", "name": "X-User"}
    routes = [{"id": name, "backends": [name], "sticky": by_header} for name in HASHED]
    routes += [
        {"id": name, "backends": [name]}
        for name in ("source", "least", "turns", "random", "found", "named", "half-dead", "failing")
    ]
    shared = [{"pool": "maglev", "weight": 70}, {"pool": "ring", "weight": 30}]
    routes += [
        {"id": "both", "backends": shared, "sticky": by_header},
        {"id": "shares", "backends": [{"pool": "least", "weight": 25}, {"pool": "named", "weight": 75}]},
        {"id": "cookie", "backends": ["least"], "sticky": {"kind": "cookie", "name": "session", "ttl": 60}},
        {"id": "answer", "response": {"status": 200, "body": "hello"}},
    ]
    return {"pools": pools, "routes": [{"hosts": [f"{route['id']}.test"], **route} for route in routes]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory):
    directory = tmp_path_factory.mktemp("choices")
    async with AsyncExitStack() as stack:
        backends = await stack.enter_async_context(serving("one", "two", "three", "four", "five"))
        file = directory / "endpoints.yaml"
        file.write_text(yaml.safe_dump([backends[1].address, backends[2].address]))
        alb = Alb(directory, document(backends, str(file)))
        stack.push_async_callback(alb.close)
        await alb.start()
        yield alb, {backend.address: backend.name for backend in backends}


async def told(alb: Alb, host: str, *, client: str = "127.0.0.1", **headers: str) -> pb.CanHandleResponse:
    asked = types_pb2.Route(
        protocol=types_pb2.PROTOCOL_HTTP,
        destination_pattern=f"{host}.test",
        path_pattern="/",
        path_match=types_pb2.PATH_MATCH_KIND_EXACT,
        headers=headers,
    )
    context = {"method": "GET", "explain": "true", "client": client}
    request = pb.CanHandleRequest(
        route=asked, context={key: value for key, value in context.items() if value}
    )
    return await alb.stub.CanHandle(request, timeout=20)


def certain(answer: pb.CanHandleResponse, names: dict[str, str]) -> str:
    """The name of the one backend that it can be."""
    (pool,) = [choice for choice in answer.choices if choice.probability == 1]
    (endpoint,) = [choice for choice in pool.endpoints if choice.probability == 1]
    return names[endpoint.address]


def expected(answer: pb.CanHandleResponse, names: dict[str, str]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for pool in answer.choices:
        for endpoint in pool.endpoints:
            name = names.get(endpoint.address) or names[f"127.0.0.1:{endpoint.address.rpartition(':')[2]}"]
            found[name] += pool.probability * endpoint.probability
    return {name: share for name, share in found.items() if share}


async def asked(client: httpx.AsyncClient, alb: Alb, host: str, **headers: str) -> str:
    answer = await client.get(f"http://127.0.0.1:{alb.port}/", headers={"host": f"{host}.test", **headers})
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("route", [*HASHED, "both"])
async def test_a_hash_of_a_header_leads_where_it_is_said_to(served, route: str) -> None:
    alb, names = served
    keys = [f"user-{number}" + "-" * (number % 50) for number in range(KEYS)]
    reached = set()
    async with httpx.AsyncClient() as client:
        for key in keys:
            said = certain(await told(alb, route, **{"x-user": key}), names)
            assert await asked(client, alb, route, **{"x-user": key}) == said, key
            reached.add(said)
    assert len(reached) >= 3


async def test_a_hash_of_the_client_leads_where_it_is_said_to(served) -> None:
    alb, names = served
    reached = set()
    for number in range(KEYS):
        source = f"127.0.{number}.7"
        said = certain(await told(alb, "source", client=source), names)
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=source)) as client:
            assert await asked(client, alb, "source") == said, source
        reached.add(said)
    assert len(reached) == 3


@pytest.mark.parametrize("route", ["least", "turns", "random", "found", "shares", "maglev"])
async def test_shares_are_those_of_traffic(served, route: str) -> None:
    """One at a time, so that nobody is busy; without what the hash is made of, so that any may be chosen."""
    alb, names = served
    answer = await told(alb, route)
    shares = expected(answer, names)
    assert math.isclose(sum(shares.values()), 1)
    async with httpx.AsyncClient() as client:
        seen = Counter([await asked(client, alb, route) for _ in range(SAMPLES)])
    assert set(seen) <= set(shares)
    chi2 = sum((seen[name] - SAMPLES * share) ** 2 / (SAMPLES * share) for name, share in shares.items())
    assert chi2 < RARE[len(shares) - 1], (seen, shares)


async def test_endpoints_that_were_found_are_told_with_their_names(served) -> None:
    alb, names = served
    (pool,) = (await told(alb, "found")).choices
    assert {names[endpoint.address] for endpoint in pool.endpoints} == {"two", "three"}
    (pool,) = (await told(alb, "named")).choices
    port = next(address for address, name in names.items() if name == "five").rpartition(":")[2]
    assert {endpoint.name for endpoint in pool.endpoints} == {f"localhost:{port}"}


async def test_who_takes_none_is_told_with_the_reason(served) -> None:
    alb, names = served
    async with asyncio.timeout(20):
        while True:
            (pool,) = (await told(alb, "half-dead")).choices
            dead = next(endpoint for endpoint in pool.endpoints if endpoint.address == "127.0.0.1:1")
            if "fails its health check" in dead.trouble:
                break
            await asyncio.sleep(0.1)
    assert dead.probability == 0
    assert certain(await told(alb, "half-dead"), names) == "one"
    assert pool.endpoints[0].address != dead.address  # the likeliest first


async def test_who_was_left_out_for_its_failures_is_told(served) -> None:
    alb, names = served
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while True:
            await client.get(f"http://127.0.0.1:{alb.port}/", headers={"host": "failing.test"})
            (pool,) = (await told(alb, "failing")).choices
            dead = next(endpoint for endpoint in pool.endpoints if endpoint.address == "127.0.0.1:2")
            if dead.trouble:
                break
            await asyncio.sleep(0.05)
    assert (dead.trouble, dead.probability) == ("left out for its failures", 0)
    assert certain(await told(alb, "failing"), names) == "one"


async def test_a_session_is_kept_where_its_cookie_says(served) -> None:
    alb, names = served
    for _ in range(10):
        async with httpx.AsyncClient() as client:
            first = await client.get(f"http://127.0.0.1:{alb.port}/", headers={"host": "cookie.test"})
            cookie = first.headers["set-cookie"].partition(";")[0]
            said = await told(alb, "cookie", cookie=f"a=b; {cookie}")
            assert certain(said, names) == first.text
            assert said.choices[0].policy == "by the session's cookie"
            assert await asked(client, alb, "cookie", cookie=cookie) == first.text
    assert len(expected(await told(alb, "cookie", cookie="session=nonsense"), names)) == 3


async def test_a_route_that_answers_by_itself_has_no_choices(served) -> None:
    alb, _ = served
    answer = await told(alb, "answer")
    assert answer.can_handle
    assert not answer.choices


async def test_an_envoy_that_does_not_answer_is_told_of(served) -> None:
    alb, _ = served
    (envoy,) = alb.envoys()
    os.kill(envoy, signal.SIGSTOP)
    try:
        answer = await told(alb, "least")
    finally:
        os.kill(envoy, signal.SIGCONT)
    assert answer.can_handle
    assert not answer.choices
    assert answer.metadata["choices"]


async def test_what_nlbs_ask_is_answered_without_asking_envoy(served) -> None:
    alb, _ = served
    request = types_pb2.Route(
        protocol=types_pb2.PROTOCOL_HTTP, destination_pattern="least.test", path_pattern="/x"
    )
    answer = await alb.stub.CanHandle(
        pb.CanHandleRequest(route=request, context={"method": "GET"}), timeout=20
    )
    assert answer.can_handle
    assert not answer.choices
