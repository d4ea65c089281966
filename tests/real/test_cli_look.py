"""`marchproxy explain`, `get routes` and `get pools` against a running system: NLB, ALB and backends."""

import asyncio
import json
import re

import httpx

from tests.real.support.backends import serving
from tests.real.support.up import Up, example, run

CLIENTS = [f"127.0.{number}.9" for number in range(8)]
HASHED = """pools:
  - {name: by-client, endpoints: [ENDPOINTS], balance: source_hash}
"""
ROUTE = """routes:
  - {id: hashed, path: /hashed, backends: [by-client]}
"""


async def reached(up: Up, client: str) -> str:
    transport = httpx.AsyncHTTPTransport(local_address=client)
    async with httpx.AsyncClient(transport=transport, timeout=20) as session:
        answer = await session.get(f"{up.url}/hashed")
    assert answer.status_code == 200
    return answer.text


async def explained(up: Up, client: str) -> str:
    """The address that a request of this client is said to reach."""
    code, out, error = await run("explain", f"{up.url}/hashed", "--client", client, "--nlb", up.nlb, "--json")
    assert code == 0, error
    (choice,) = json.loads(out)["module"]["verdict"]["choices"]
    (endpoint,) = [one for one in choice["endpoints"] if one["probability"] == 1]
    return endpoint["address"]


async def looked(up: Up, subject: str):
    code, out, error = await run("get", subject, "--nlb", up.nlb, "--json")
    assert code == 0, error
    return json.loads(out)


async def test_from_the_nlb_to_the_endpoint_and_what_it_took(tmp_path):
    async with serving("one", "two", "three") as backends, example(tmp_path, backends[0].address) as up:
        names = {backend.address: backend.name for backend in backends}
        up.edit("pools:\n", HASHED.replace("ENDPOINTS", ", ".join(f'"{address}"' for address in names)))
        up.edit("routes:\n", ROUTE)
        await up.launch()
        await up.says("ready:  curl http://")
        said = {client: names[await explained(up, client)] for client in CLIENTS}
        assert {client: await reached(up, client) for client in CLIENTS} == said
        assert len(set(said.values())) > 1

        code, out, _ = await run("explain", f"{up.url}/hashed", "--client", CLIENTS[0], "--nlb", up.nlb)
        assert code == 0
        assert re.search(r"an endpoint by Maglev of the client's address; 3 of 3 are sound", out)
        assert re.search(r"127\.0\.0\.1:\d+: chosen", out)
        assert re.search(r'→ alb-1, route "hashed", pool by-client, 127\.0\.0\.1:\d+$', out, re.MULTILINE)

        async with asyncio.timeout(40):
            while True:
                stats = (await looked(up, "routes"))["stats"]["alb-1"]
                if stats.get("hashed", {}).get("total_requests") == str(len(CLIENTS)):
                    break
        pools = (await looked(up, "pools"))["instances"]["alb-1"]
        assert pools["stats"]["by-client"]["total_requests"] == str(len(CLIENTS))
        assert "p99_latency_ms" in pools["stats"]["by-client"]
        assert {pool["name"] for pool in pools["pools"]} >= {"by-client", "shop-v1"}
        for subject, words in (("pools", "by-client .* 3/3 .* 8 "), ("routes", "hashed .* 8 ")):
            code, out, _ = await run("get", subject, "--nlb", up.nlb)
            assert code == 0
            assert re.search(words, out), out
