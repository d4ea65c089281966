"""Plans with one PostgreSQL server behind one route, for tests of what a session sees."""

from collections.abc import Mapping
from typing import Any

from marchproxy.modules.dblb.plan import DblbPlan
from tests.real.support.dblb_services import plan_of


def document_before(
    server: int,
    *,
    method: str = "",
    trusted: bool = False,
    route: Mapping[str, Any] | None = None,
    **pool: Any,
) -> dict[str, Any]:
    """A document with pool `main` (`pool` is of its section `database`) and route `r`; users stand in the file `/users`."""
    way = {"name": "users", "kind": "userlist", "file": "/users", "method": method}
    return {
        "pools": [
            {
                "name": "main",
                "protocol": "postgres",
                "endpoints": [{"address": f"127.0.0.1:{server}"}],
                "database": pool,
            }
        ],
        "routes": [
            {
                "id": "r",
                "protocol": "postgres",
                "backends": [{"pool": "main", "weight": 100}],
                "authentication": [] if trusted else ["users"],
                "database": dict(route or {}),
            }
        ],
        "authentication": [] if trusted else [way],
    }


def plan_before(server: int, *, method: str = "", secret: str = "hidden", **pool: Any) -> DblbPlan:
    """The plan of such a document with the one user `app`; an empty secret: nobody has to show who it is."""
    document = document_before(server, method=method, trusted=not secret, **pool)
    return plan_of(document, {"/users": f'"app" "{secret}"'.encode()})
