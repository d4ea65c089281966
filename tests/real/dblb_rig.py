"""`marchproxy dblb` before servers, as its judges use it: with a way of pooling for each kind of database's name."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.real.support.dblb import Databases, databases

PASSWORD = "hidden"


@asynccontextmanager
async def dblb(
    directory: Path,
    protocol: str,
    endpoints: Sequence[str],
    kinds: Mapping[str, Mapping[str, Any]],
    *,
    route: Mapping[str, Any] | None = None,
    workers: int = 2,
) -> AsyncIterator[Databases]:
    """For each kind a pool of these servers with its options, for databases whose names end with `_` and its name.

    The first kind takes all other databases too. The only user is `app`, whose password is PASSWORD. `route` is what all
    routes say of databases. For MySQL, the port is `direct` as for PostgreSQL.
    """
    directory.mkdir(exist_ok=True)
    users = directory / "users.txt"
    users.write_text(f'"app" "{PASSWORD}"\n')
    monitor = {"monitor": "app", "users": str(users), "probe_interval": 0.1} if len(endpoints) > 1 else {}
    first = next(iter(kinds))
    document = {
        "authentication": [{"name": "people", "kind": "userlist", "file": str(users)}],
        "pools": [
            {
                "name": kind,
                "protocol": protocol,
                "endpoints": list(endpoints),
                "database": {**monitor, **options},
            }
            for kind, options in kinds.items()
        ],
        "routes": [
            {
                "id": f"{kind}-databases",
                "protocol": protocol,
                "module": "dblb",
                "backends": [kind],
                "authentication": ["people"],
                "priority": 0 if kind == first else 1,
                "database": {**(route or {}), **({} if kind == first else {"databases": [f"*_{kind}"]})},
            }
            for kind in kinds
        ],
    }
    more = {} if protocol == "postgres" else {protocol: f"127.0.0.1:{(port := free_port())}"}
    async with databases(directory, document, workers=workers, **more) as system:
        if more:
            system.direct = port
        yield system
