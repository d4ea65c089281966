"""Choice: where a request of a route would go, down to the endpoint. Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EndpointChoice:
    """An endpoint of a pool, and how likely (0 to 1) a request for the pool goes there now.

    `name`: the `host:port` that it was found by; empty: it is listed as it is. `trouble`: why it takes none, in words.
    """

    address: str
    probability: float
    weight: int = 1
    priority: int = 0
    active_requests: int = 0
    name: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class PoolChoice:
    """A pool of a route, how likely (0 to 1) the request goes there, and `policy`: how its endpoints are chosen."""

    pool: str
    version: str
    probability: float
    policy: str
    endpoints: tuple[EndpointChoice, ...] = ()
