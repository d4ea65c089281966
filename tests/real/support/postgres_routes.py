"""Plans with a cluster of PostgreSQL servers behind one route, and clients of it."""

from typing import Any

import psycopg

from marchproxy.modules.dblb.plan import DblbPlan
from marchproxy.modules.dblb.tally import Tally
from tests.real.support.dblb_services import Served, plan_of
from tests.real.support.postgres_cluster import Cluster, Node


def routed(
    cluster: Cluster,
    *,
    pool: dict[str, Any] | None = None,
    beside: dict[str, Node] | None = None,
    shares: tuple[int, ...] = (100,),
    trusted: bool = False,
    **route: Any,
) -> DblbPlan:
    """The servers as pool `main`, watched by `app` five times a second, and a route `r` for the user `app`.

    `trusted`: nobody has to show who it is. `beside`: pools of one server each that the route has besides; `shares` in their order.
    """
    watched = {"users": "/users", "monitor": "app", "monitor_database": "app", "probe_interval": 0.2}
    pools = {"main": cluster.nodes, **{name: (node,) for name, node in (beside or {}).items()}}
    document = {
        "pools": [
            {
                "name": name,
                "protocol": "postgres",
                "endpoints": [{"address": node.address} for node in nodes],
                "database": {**watched, **(pool or {})},
            }
            for name, nodes in pools.items()
        ],
        "routes": [
            {
                "id": "r",
                "protocol": "postgres",
                "backends": [
                    {"pool": name, "weight": share} for name, share in zip(pools, shares, strict=True)
                ],
                "authentication": [] if trusted else ["users"],
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
