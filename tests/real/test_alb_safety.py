"""A configuration that Envoy refuses: it never reaches traffic, its author is told all of it, and the rest is served."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from marchproxy.contract.document import decode
from marchproxy.contract.fleet.client import connected
from marchproxy.contract.fleet.takers import Offer, Reload, Taker
from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.engines.envoy.binary import find_envoy
from tests.ports import free_port
from tests.real.support.alb import Alb, route
from tests.real.support.backends import Backend, serving
from tests.real.support.load import ask, load
from tests.real.support.process import kill_left

Make = Callable[..., Alb]
AHEAD = "/a(?=b).*"  # sound in Python; Envoy's RE2 knows no look-ahead
ROUTES = 300


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving("blue") as backends:
        yield backends[0]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes the ALB of a test, not started yet."""
    made: list[Alb] = []

    def make(document: dict[str, Any], **envoy: Any) -> Alb:
        section = {"admin": f"127.0.0.1:{free_port()}", "concurrency": 1, **envoy}
        made.append(Alb(tmp_path, document, envoy=section))
        return made[-1]

    yield make
    for alb in made:
        await alb.close()


def document(backend: Backend, *more: dict[str, Any], routes: int = 2) -> dict[str, Any]:
    plain = [{"id": f"r{n}", "hosts": [f"r{n}.test"], "backends": ["blue"]} for n in range(routes)]
    return {
        "routes": [{"id": "web", "hosts": ["web.test"], "backends": ["blue"]}, *plain, *more],
        "pools": [{"name": "blue", "endpoints": [backend.address]}],
    }


def bad(name: str, **fields: Any) -> dict[str, Any]:
    """A route that our own checks find nothing wrong with."""
    return {"id": name, "hosts": [f"{name}.test"], "path": {"regex": AHEAD}, "backends": ["blue"], **fields}


async def update(alb: Alb, wanted: dict[str, Any], *, validate_only: bool = False) -> Any:
    config = types_pb2.ConfigUpdate(config_type="state", config_data=yaml.safe_dump(wanted).encode())
    return await alb.stub.UpdateConfig(
        pb.UpdateConfigRequest(config=config, validate_only=validate_only), timeout=60
    )


async def get(alb: Alb, host: str, path: str = "/") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{alb.port}{path}", headers={"host": f"{host}.test"})


async def health(alb: Alb) -> Any:
    return await alb.stub.HealthCheck(pb.HealthCheckRequest())


@pytest.mark.parametrize("validate_only", [True, False])
async def test_every_culprit_is_told_and_nothing_changes(
    make: Make, backend: Backend, *, validate_only: bool
) -> None:
    alb = await make(document(backend)).start()
    worse = document(
        backend,
        bad("one"),
        bad("two", path="/", headers=[{"name": "v", "regex": "x(?!y)"}]),
        bad("three", path="/x", rewrite={"pattern": r"(x)\1", "path": "/y"}),
        routes=ROUTES,
    )
    del worse["routes"][1]  # nor is r0 gone afterwards
    answer = await update(alb, worse, validate_only=validate_only)
    assert not answer.success
    told = {line.partition(": ")[0] for line in answer.validation_errors}
    assert told == {
        f"routes[{ROUTES}].path",
        f"routes[{ROUTES + 1}].headers[0].regex",
        f"routes[{ROUTES + 2}].rewrite.pattern",
    }
    assert all("Envoy refused it: invalid" in line for line in answer.validation_errors)
    assert (await get(alb, "r0")).status_code == 200
    assert (await get(alb, f"r{ROUTES - 1}")).status_code == 404
    assert len((await alb.stub.GetRoutes(pb.GetRoutesRequest())).routes) == 3
    assert "Envoy refused a change" not in alb.log.read_text()  # the one that serves was never asked


async def test_a_rehearsal_of_routes_asks_envoy_too(make: Make, backend: Backend) -> None:
    alb = await make(document(backend)).start()
    sent = route("new", path=f"~{AHEAD}", blue=100)
    answer = await alb.stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=[sent], validate_only=True))
    assert not answer.success
    assert [line.partition(": ")[0] for line in answer.validation_errors] == ["routes[0].path"]


async def test_a_start_serves_the_rest_until_the_route_is_corrected(make: Make, backend: Backend) -> None:
    alb = await make(document(backend, bad("odd"))).start()
    assert (await get(alb, "web")).status_code == 200
    held = await get(alb, "odd", "/ab")
    assert (held.status_code, held.headers["x-marchproxy-quarantined"]) == (500, "route odd")
    seen = await health(alb)
    assert seen.status == types_pb2.HEALTH_STATUS_DEGRADED
    assert 'route "odd": Envoy refused it: invalid perl operator: (?=' in seen.checks["quarantine"]

    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{alb.metrics}/metrics")).text
    assert 'marchproxy_module_quarantined{kind="route"} 1.0' in text

    await alb.put(route("other", blue=100))  # another route is no correction
    assert (await get(alb, "odd", "/ab")).status_code == 500
    await alb.put(route("odd", blue=100))
    assert (await get(alb, "odd", "/ab")).status_code == 200
    assert "quarantine" not in (await health(alb)).checks


def without_validation(folder: Path) -> Path:
    """An Envoy whose validation finds nothing wrong, as that of an older one may."""
    script = folder / "envoy"
    script.write_text(
        f'#!/bin/sh\ncase " $* " in *" --mode validate "*) exit 0;; esac\nexec {find_envoy(None)} "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.mark.parametrize("how", ["off", "blind"])
async def test_what_only_the_serving_envoy_refuses_is_found_and_quarantined(
    make: Make, backend: Backend, tmp_path: Path, how: str
) -> None:
    envoy = {"validate_changes": False} if how == "off" else {"binary": str(without_validation(tmp_path))}
    alb = await make(document(backend), **envoy).start()
    wanted = document(backend, bad("odd"), bad("strange", path={"regex": r"/(x)\1"}), routes=ROUTES)
    async with load(alb.port, host="web.test") as tally:
        answer = await update(alb, wanted)
    assert answer.success, answer
    assert "the document runs without 2 of its parts" in answer.message
    assert {line.partition(": ")[0] for line in answer.validation_errors} == {
        f"routes[{ROUTES + 1}].path",
        f"routes[{ROUTES + 2}].path",
    }
    assert tally.total
    assert not tally.bad()
    for name in ("odd", "strange"):
        held = await get(alb, name, "/x")
        assert (held.status_code, held.headers["x-marchproxy-quarantined"]) == (500, f"route {name}")
    for number in (0, ROUTES // 2, ROUTES - 1):
        assert (await get(alb, f"r{number}")).status_code == 200
    assert (await health(alb)).status == types_pb2.HEALTH_STATUS_DEGRADED

    # a small change is taken back as a whole, and what is held stays held
    answer = await alb.stub.UpdateRoutes(
        pb.UpdateRoutesRequest(routes=[route("r1", path=f"~{AHEAD}", blue=100)])
    )
    assert not answer.success
    assert (await get(alb, "r1")).status_code == 200
    assert (await get(alb, "odd", "/x")).status_code == 500

    assert (await update(alb, document(backend))).success
    assert "quarantine" not in (await health(alb)).checks


async def test_what_ran_before_goes_on_when_everything_died_and_the_document_is_spoilt(
    make: Make, backend: Backend
) -> None:
    alb = await make(document(backend)).start()
    assert (await ask(alb.port, 1, host="web.test")).answers == {(200, "blue"): 1}
    async with asyncio.timeout(20):  # what runs is kept behind the change
        while not (alb.directory / "s/alb-1/state.json").exists():
            await asyncio.sleep(0.05)
    await alb.kill()
    kill_left(alb.directory)
    alb.write(document(backend, {"id": "none", "backends": ["nowhere"]}))
    await alb.start()
    assert "the last good snapshot is served" in alb.log.read_text()
    assert (await get(alb, "web")).status_code == 200
    seen = await health(alb)
    assert seen.status == types_pb2.HEALTH_STATUS_DEGRADED
    assert "nowhere" in seen.checks["configuration"]

    alb.write(document(backend))
    answer = await alb.stub.Reload(pb.ReloadRequest())
    assert answer.success, answer
    assert "configuration" not in (await health(alb)).checks


async def test_of_two_albs_the_second_never_sees_what_the_first_could_serve_in_part_only(
    backend: Backend, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        albs: list[Alb] = []
        before = document(backend)
        for number in (1, 2):
            folder = tmp_path / str(number)
            folder.mkdir()
            envoy = {
                "admin": f"127.0.0.1:{free_port()}",
                "concurrency": 1,
                "binary": str(without_validation(folder)),
            }
            alb = Alb(folder, before, id=f"alb-{number}", envoy=envoy)
            stack.push_async_callback(alb.close)
            albs.append(await alb.start())
        client = await stack.enter_async_context(connected("127.0.0.1:1"))
        takers = [Taker(f"alb-{n}", f"127.0.0.1:{alb.grpc}", is_nlb=False) for n, alb in enumerate(albs, 1)]
        reload = Reload(client, takers)
        old, new = (decode(yaml.safe_dump(one).encode()) for one in (before, document(backend, bad("odd"))))
        assert await reload.check(Offer.of(new)) == []  # nobody knows it beforehand
        async with load(albs[0].port) as first, load(albs[1].port) as second:
            (refusal,) = await reload.apply(Offer.of(new), Offer.of(old))
        assert refusal.who == "alb-1"
        assert refusal.reasons[0].startswith("routes[3].path: ")
        for alb, tally in zip(albs, (first, second), strict=True):
            assert tally.total
            assert not tally.bad()
            assert (await get(alb, "odd", "/ab")).status_code == 404
            assert "quarantine" not in (await health(alb)).checks
        assert "Envoy refused a change" in albs[0].log.read_text()
        assert "Envoy refused a change" not in albs[1].log.read_text()
