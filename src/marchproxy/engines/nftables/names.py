"""Names in the kernel: decided by the plan alone, so that equal things are called alike and different ones never are.

A readable part and a digest: `web-api` on port 80 and `web/api` never meet. Characters are those that `nft` reads back.
"""

import re
from functools import lru_cache
from hashlib import blake2b

from marchproxy.engines.nftables.plan import Backend, Frontend, Limit, Rate
from marchproxy.kit.addresses import ip_address

TABLES = ("marchproxy", "marchproxy-b")
"""Ours, in each family. One is in force; the other takes its place when everything is replaced."""
REFUSALS = ("denied", "limited", "unserved")
"""Counters of a frontend: by CIDR, by a limit, for want of a backend."""
FLOWS = ("new", "in", "out")
"""Counters of an endpoint: new connections, bytes from clients, bytes to clients."""
RATED = ("allowed", "denied")
"""Counters of a limit."""


def gate_chain(frontend: Frontend) -> str:
    """The chain that what a frontend asks for comes to, whoever has the place."""
    address = "any" if frontend.wildcard else _written(frontend.address)
    return f"at-{frontend.protocol.value}-{address}-{frontend.port}"


@lru_cache(maxsize=4_096)
def frontend_prefix(name: str) -> str:
    """What the names of everything that belongs to the frontend of this name begin with."""
    return f"fe-{_readable(name)}"


def endpoint_prefix(frontend: str, backend: Backend) -> str:
    """What the names of everything that belongs to this backend of the frontend of this name begin with."""
    return f"{frontend_prefix(frontend)}/{_written(backend.address)}-{backend.port}"


@lru_cache(maxsize=4_096)
def limit_prefix(name: str) -> str:
    """What the names of everything that belongs to the limit of this name begin with."""
    return f"limit-{_readable(name)}"


def counter(prefix: str, what: str) -> str:
    """A counter of a frontend, an endpoint or a limit; `what` is one of REFUSALS, FLOWS or RATED."""
    return f"{prefix}.{what}"


def bucket(limit: Limit, rate: Rate) -> str:
    """What holds the bucket, or the set of sources with a bucket each.

    The rate is part of the name because the kernel stores it there: another rate needs another bucket.
    """
    kind = "each" if limit.each else "all"
    return f"{limit_prefix(limit.name)}.{kind}-{rate.count}-{rate.period.value}-{rate.bucket}"


def concurrent_set(frontend: Frontend) -> str:
    """The set of sources with open connections; named by its limit, as `bucket`."""
    return f"{frontend_prefix(frontend.name)}.concurrent-{frontend.concurrent}"


def digest(text: str) -> str:
    """Eight letters that tell texts apart."""
    return blake2b(text.encode(), digest_size=4).hexdigest()


def _readable(name: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_]', '_', name)[:40]}-{digest(name)}"


@lru_cache(maxsize=16_384)
def _written(address: str) -> str:
    return str(ip_address(address)).replace(":", "_")
