"""`marchproxy up` and the commands that look at what it runs, as people use them."""

import asyncio
import json
import signal

import httpx
import pytest

from tests.real.support.backends import serving
from tests.real.support.process import naming
from tests.real.support.up import Up, example, run


async def test_a_day_in_the_life(tmp_path):
    async with serving("blue") as (blue,), example(tmp_path, blue.address) as up:
        process = await up.launch()
        await up.says("ready:  curl http://")
        assert await up.serves()

        await look_around(up)

        # a good change is in force everywhere; the sections of processes wait for the next start
        up.edit("path: /  ", "path: /new  ")
        process.send(signal.SIGHUP)
        await up.says("is in force everywhere")
        assert (await up.get()).status_code == 404
        up.edit("path: /new", "path: /")
        process.send(signal.SIGHUP)
        await up.says("is in force everywhere", times=2)
        assert await up.serves()

        # a bad one is nowhere, and is told with its line; one that only a module refuses, with who it was
        up.edit("path: /  ", "pth: /  ")
        process.send(signal.SIGHUP)
        await up.says('routes[0].pth: unknown key; did you mean "path"?')
        up.edit("pth: /  ", "path: /  ")
        up.edit("version: v2\n    endpoints", "tls: {ca: /nowhere.pem}\n    endpoints")
        process.send(signal.SIGHUP)
        await up.says("alb-1: pools[1].tls.ca")
        assert await up.serves()

        # what dies is back, with the file that is in force, not with the bad one
        up.part("alb").kill()
        await up.says("alb-1       died      killed by SIGKILL; starting it again")
        await up.says("alb-1       ready", times=2)
        up.part("nlb").kill()
        await up.says("nlb-1       ready", times=2)
        assert await up.serves()

        process.send(signal.SIGINT)
        assert await process.ended(20) == 0
        assert naming(up.state) == []
        words = process.log.read_text()
        assert words.index("alb-1       stopped") < words.index("nlb-1       stopping")


async def look_around(up: Up) -> None:
    """The commands that look at it and change it."""
    code, out, _ = await run("get", "modules", "--nlb", up.nlb, "--json")
    assert code == 0
    assert [module["instance_id"] for module in json.loads(out)["modules"]] == ["alb-1"]
    shown = {
        "routes": "shop",
        "listeners": "web",
        "stats": "alb-1",
        "backends": "shop-v2",
        "rollouts": "no version was promoted",
    }
    for subject, words in shown.items():
        code, out, _ = await run("get", subject, "--nlb", up.nlb)
        assert code == 0
        assert words in out
    code, out, _ = await run("explain", f"{up.url}/cart", "--nlb", up.nlb, "--json")
    assert code == 0
    explained = json.loads(out)
    assert explained["nlb"]["listener"] == "web"
    assert explained["module"]["route"]["route_id"] == "shop"
    code, out, _ = await run("explain", "tcp://127.0.0.1:1", "--nlb", up.nlb)
    assert code == 1
    assert "no listener accepts" in out
    code, out, _ = await run("set", "weight", "v2", "30", "--nlb", up.nlb)
    assert (code, out) == (0, 'alb-1: version "v2" has 30 %\n')
    code, _, err = await run("set", "limit", "nowhere", "5", "--nlb", up.nlb)
    assert code == 1
    assert 'no route "nowhere"' in err
    code, out, _ = await run("set", "rollback", "--nlb", up.nlb)
    assert code == 0
    assert "rolled back" in out


HTTP_ROUTES = """routes:
  - {id: old, path: /old, redirect: {prefix: /new, code: 302}}
  - {id: user, path: {template: "/u/{id}"}, rewrite: {path: "/users/{id}"}, backends: [shop-v1]}
  - {id: teapot, path: /q, query: [{name: v, exact: "2"}], response: {status: 418}}
  - {id: office, path: /o, sources: [10.0.0.0/8], response: {status: 410}}
  - {id: local, path: /l, sources: [127.0.0.0/8], response: {status: 410}}
  - {id: guarded, path: /g, deny: [127.0.0.0/8], backends: [shop-v1]}
"""
EXPLAINED = [
    # what is asked, what traffic gets, the route that takes it, what is said of it
    ("/old/x?a=b", 302, "old", "answers 302: {url}/new/x?a=b"),
    ("/u/7", 200, "user", "asks the backend for /users/7"),
    ("/q?v=2", 418, "teapot", "answers 418 by itself"),
    ("/q?v=1", 200, "shop", "pool shop-v1 (v1) gets 100 %"),
    ("/o", 200, "shop", "pool shop-v1 (v1) gets 100 %"),
    ("/l", 410, "local", "answers 410 by itself"),
    ("/g", 403, "guarded", "denies 127.0.0.1: answered 403"),
]


async def test_what_is_explained_of_routes_is_what_traffic_gets(tmp_path):
    async with serving("blue") as (blue,), example(tmp_path, blue.address) as up:
        up.edit("routes:\n", HTTP_ROUTES)
        await up.launch()
        await up.says("ready:  curl http://")
        for path, status, route, words in EXPLAINED:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"{up.url}{path}")
            assert answer.status_code == status, path
            code, out, _ = await run("explain", f"{up.url}{path}", "--client", "127.0.0.1", "--nlb", up.nlb)
            assert words.format(url=up.url) in " ".join(out.split()), out
            assert f'route "{route}"' in out.splitlines()[-1]
            assert code == (status == 403)


async def test_a_port_in_use_is_told_and_nothing_is_left(tmp_path):
    async with example(tmp_path) as up:
        taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", up.ports["50050"])
        async with taken:
            process = await up.launch()
            assert await process.ended(30) == 1
        words = process.log.read_text()
        assert "nlb-1 did not start: nlb.grpc: cannot listen on" in words
        assert "already in use" in words
        assert "Traceback" not in words
        assert naming(up.state) == []


async def test_a_missing_envoy_is_told(tmp_path):
    async with example(tmp_path) as up:
        up.edit("envoy: {admin", "envoy: {binary: /nowhere/envoy, admin")
        process = await up.launch()
        assert await process.ended(30) == 1
        assert "/nowhere/envoy" in process.log.read_text()
        assert "Traceback" not in process.log.read_text()


async def test_an_up_that_is_killed_leaves_nothing(tmp_path):
    async with example(tmp_path) as up:
        process = await up.launch()
        await up.says("ready:  curl")
        process.send(signal.SIGKILL)
        await process.ended(20)
        async with asyncio.timeout(20):
            while naming(up.state):
                await asyncio.sleep(0.1)


async def test_two_of_us_do_not_share_a_state_folder(tmp_path):
    async with example(tmp_path) as up:
        await up.launch()
        await up.says("ready:  curl")
        code, _, err = await run("up", str(up.file), "--state-dir", str(up.state))
        assert code == 1
        assert "another `marchproxy up` runs with" in err
        assert await up.serves() is False  # the backend is not there; but somebody answers
        assert (await up.get()).status_code == 503


async def test_a_second_ctrl_c_kills(tmp_path):
    async with serving("blue") as (blue,), example(tmp_path, blue.address) as up:
        process = await up.launch()
        await up.says("ready:  curl")
        up.part("alb").suspend()  # it will not stop by itself
        process.send(signal.SIGINT)
        await up.says("stopping")
        process.send(signal.SIGINT)
        assert await process.ended(15) == 130
        assert naming(up.state) == []


@pytest.mark.parametrize("service", ["nlb", "alb"])
async def test_a_service_stays_small(tmp_path, service):
    async with example(tmp_path) as up:
        await up.launch()
        await up.says("ready:  curl")
        # of which some 10 MB are aioquic, which dnspython imports where the tests have installed it
        assert up.part(service).memory_info().rss < 120e6
