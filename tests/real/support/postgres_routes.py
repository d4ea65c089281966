"""Plans with a cluster of PostgreSQL servers behind one route, and clients of it."""

from typing import Any

import psycopg

from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.tally import Tally
from tests.real.support.dblb_services import Served, plan_of
from tests.real.support.postgres_cluster import Cluster


def routed(cluster: Cluster, *, pool: dict[str, Any] | None = None, **route: Any) -> DblbPlan:
    """The servers as pool `main`, watched by `app` five times a second, and a route `r` for the user `app`."""
    watched = {"users": "/users", "monitor": "app", "monitor_database": "app", "probe_interval": 0.2}
    document = {
        "pools": [
            {
                "name": "main",
                "protocol": "postgres",
                "endpoints": [{"address": node.address} for node in cluster.nodes],
                "database": {**watched, **(pool or {})},
            }
        ],
        "routes": [
            {
                "id": "r",
                "protocol": "postgres",
                "backends": [{"pool": "main", "weight": 100}],
                "authentication": ["users"],
                "database": route,
            }
        ],
        "authentication": [{"name": "users", "kind": "userlist", "file": "/users"}],
    }
    return plan_of(document, {"/users": b'"app" "hidden"\n'})


def dsn(served: Served) -> str:
    """For psycopg."""
    return f"host=127.0.0.1 port={served.port} user=app dbname=app password=hidden sslmode=disable"


async def connect(served: Served, *, autocommit: bool = True) -> psycopg.AsyncConnection:
    """A client."""
    return await psycopg.AsyncConnection.connect(dsn(served), autocommit=autocommit)


async def value(client: psycopg.AsyncConnection, statement: str, *values: object, **how: Any) -> Any:
    """The first value that a statement gives."""
    cursor = await client.execute(statement, values or None, **how)  # type: ignore[call-overload]
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


def tally(served: Served) -> Tally:
    """What was counted of the one kind of session."""
    (found,) = served.around.tallies.kept.values()
    return found
