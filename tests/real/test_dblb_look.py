"""What people and NLBs are told of a DBLB: where a session goes, how its servers are, what was counted, what cannot run."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from marchproxy.contract.pb import module_pb2, types_pb2
from tests.ports import free_port
from tests.real.support.databases import postgres, run
from tests.real.support.dblb import Databases, databases
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[int]:
    async with postgres() as port:
        yield port


def document(server: int, users: Path) -> dict[str, Any]:
    route = {"protocol": "postgres", "backends": ["db"]}
    return {
        "authentication": [{"name": "people", "kind": "userlist", "file": str(users)}],
        "pools": [
            {"name": "db", "protocol": "postgres", "endpoints": [f"127.0.0.1:{server}"]},
            {"name": "gone", "protocol": "postgres", "endpoints": [f"127.0.0.1:{free_port()}"]},
        ],
        "routes": [
            {
                "id": "app",
                **route,
                "authentication": ["people"],
                "database": {
                    "databases": ["app"],
                    "firewall": [{"id": "no-ddl", "mode": "block", "kinds": ["ddl"]}],
                },
            },
            {"id": "open", **route, "database": {"databases": ["postgres"]}},
            {
                "id": "nowhere",
                "protocol": "postgres",
                "backends": ["gone"],
                "database": {"databases": ["x*"]},
            },
        ],
        "rate_limits": [{"id": "few", "target": "app", "per": "user", "max_concurrent": 50}],
    }


def connect(port: int, database: str = "app") -> Any:
    dsn = f"host=127.0.0.1 port={port} user=app dbname={database} password=secret sslmode=disable"
    return psycopg.AsyncConnection.connect(dsn, autocommit=True)


async def explained(system: Databases, url: str) -> dict[str, Any]:
    """What the command prints for programs; it may say by its exit code that nobody serves it."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "marchproxy",
            "explain",
            url,
            "--json",
            "--nlb",
            f"127.0.0.1:{system.nlb.grpc}",
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    told: dict[str, Any] = json.loads(out)
    assert told["served"] == (process.returncode == 0)
    return told


async def samples(system: Databases) -> dict[str, dict[tuple[str, ...], float]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{system.dblb.metrics}/metrics")).text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_where_a_session_goes_how_it_went_and_how_its_servers_are(server: int, tmp_path: Path) -> None:
    users = tmp_path / "users.txt"
    users.write_text('"app" "secret"\n')
    async with databases(tmp_path, document(server, users), nlb=True) as system, system.asked() as module:

        async def served() -> bool:
            return bool((await explained(system, f"postgres://app@127.0.0.1:{system.port}/app"))["served"])

        await until(served)
        told = await explained(system, f"postgres://app@127.0.0.1:{system.port}/app")
        inside = told["module"]
        assert inside["route"]["route_id"] == "app"
        assert inside["verdict"]["metadata"]["firewall"] == "no-ddl"
        (choice,) = inside["verdict"]["choices"]
        assert [(one["address"], one["probability"]) for one in choice["endpoints"]] == [
            (f"127.0.0.1:{server}", 1.0)
        ]
        assert [limit["limit_id"] for limit in inside["rate_limits"]] == ["few"]
        other = await explained(system, f"postgres://app@127.0.0.1:{system.port}/shop")
        assert not other["served"]
        assert "no route for database shop" in other["module"]["verdict"]["reason"]

        async with await connect(system.port) as connection:
            for _ in range(20):
                await connection.execute("select 1")
            with pytest.raises(psycopg.Error, match="no-ddl"):
                await connection.execute("drop table nothing")
        await _is_counted(system)

        async def by_database() -> bool:
            custom = (await module.GetStats(module_pb2.GetStatsRequest())).stats.custom_stats
            return float(custom.get("database_queries_total{app}", "0")) >= 20

        await until(by_database)
        await _is_healthy_as_its_servers_are(module, server)


async def _is_counted(system: Databases) -> None:
    labels = ("postgres", "app", "db", "app", "app")

    async def all_of_it() -> bool:
        found = await samples(system)
        return found.get("marchproxy_dblb_queries_total", {}).get(labels, 0) >= 20

    await until(all_of_it)
    found = await samples(system)
    assert found["marchproxy_dblb_blocked_total"][labels] == 1
    assert found["marchproxy_dblb_query_seconds_count"][labels[:-1]] >= 20
    assert sum(found["marchproxy_dblb_pool_connections"].values()) >= 1


async def _is_healthy_as_its_servers_are(module: Any, server: int) -> None:
    health = await module.HealthCheck(module_pb2.HealthCheckRequest(deep_check=True))
    assert health.status == types_pb2.HEALTH_STATUS_DEGRADED, health
    assert f"1 of 1 servers answer: 127.0.0.1:{server}" in health.checks["pool:db"]
    assert " ms" in health.checks["pool:db"]
    assert health.checks["pool:gone"].startswith("0 of 1 servers answer"), health
    assert "pool gone: no server answers" in health.message


async def test_at_a_start_only_what_cannot_run_is_left_out(server: int, tmp_path: Path) -> None:
    users = tmp_path / "users.txt"  # not there yet
    async with databases(tmp_path, document(server, users)) as system, system.asked() as module:
        async with await connect(system.direct, "postgres") as connection:
            await connection.execute("select 1")
        with pytest.raises(psycopg.OperationalError):
            await connect(system.direct)
        health = await module.HealthCheck(module_pb2.HealthCheckRequest())
        assert f"set aside: authentication[0].file: {users}" in health.message
        users.write_text('"app" "secret"\n')

        async def lets_in() -> bool:
            try:
                async with await connect(system.direct):
                    return True
            except psycopg.OperationalError:
                return False

        await until(lets_in)
        # what is faulty after that changes nothing
        route = types_pb2.Route(
            route_id="app",
            protocol=types_pb2.PROTOCOL_POSTGRES,
            backends=[types_pb2.BackendRef(pool="db", weight=100)],
            database=types_pb2.DatabaseRoute(databases=["app"], writes="gone"),
            path_pattern="/x",
        )
        answer = await module.UpdateRoutes(module_pb2.UpdateRoutesRequest(routes=[route]))
        assert not answer.success
        assert {"routes[0].path", "routes[0].database.writes"} <= answer.error.details.keys()
        assert await lets_in()


async def test_validate_tells_faults_of_databases_and_sums_up_their_routes(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    system = Databases(tmp_path, document(1, tmp_path / "users"))
    system.document["routes"][0]["path"] = "/x"
    system.save()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "marchproxy", "validate", str(file)), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert "routes[0].path: is for HTTP; postgres has no such thing: remove it" in err.decode()
    del system.document["routes"][0]["path"]
    system.save()
    said = await run(sys.executable, "-m", "marchproxy", "validate", str(file))
    assert "app: databases app → db 100 %" in said
