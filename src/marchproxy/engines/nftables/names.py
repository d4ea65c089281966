"""Names in the kernel: decided by the plan alone, so that a later process finds the same ones.

A readable part and a digest: `web-api` on port 80 and `web/api` never meet. Characters are those that `nft` reads back.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address

from marchproxy.engines.nftables.plan import Backend, ConnectionLimits, Frontend

TABLE = "marchproxy"
REFUSALS = ("denied", "limited", "unserved")
"""Counters of a frontend: by CIDR, by a limit, for want of a backend."""
FLOWS = ("new", "in", "out")
"""Counters of an endpoint: new connections, bytes from clients, bytes to clients."""


@lru_cache(maxsize=4_096)
def frontend_chain(name: str) -> str:
    """The chain of the frontend of this name; also the prefix of everything that belongs to it."""
    readable = re.sub(r"[^A-Za-z0-9_]", "_", name)[:40]
    return f"fe-{readable}-{blake2b(name.encode(), digest_size=4).hexdigest()}"


def endpoint_chain(frontend: Frontend, backend: Backend) -> str:
    """The chain that sends a connection of this frontend to this backend."""
    address = str(ip_address(backend.address)).replace(":", "_")
    return f"{frontend_chain(frontend.name)}/{address}-{backend.port}"


def counter(chain: str, what: str) -> str:
    """A counter of a frontend's or an endpoint's chain; `what` is one of REFUSALS or FLOWS."""
    return f"{chain}.{what}"


def rate_set(frontend: Frontend, limits: ConnectionLimits) -> str:
    """The set of sources that used their rate lately.

    The limit is part of the name because the kernel stores it in each element: another limit needs another set.
    """
    return f"{frontend_chain(frontend.name)}.rate-{limits.rate}-{limits.period.value}-{limits.burst}"


def concurrent_set(frontend: Frontend, limits: ConnectionLimits) -> str:
    """The set of sources with open connections; named by its limit, as `rate_set`."""
    return f"{frontend_chain(frontend.name)}.concurrent-{limits.concurrent}"
