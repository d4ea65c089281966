"""Tally: what happened, by route, database, user and pool; cheap enough to be kept for every query."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

#: Upper bounds of the buckets of times, in seconds.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Times:
    """A histogram of seconds."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Tally:
    """The counts of one kind of session. Whoever serves it adds to them as it goes; they only grow, but for gauges."""

    __slots__ = (
        "blocked", "clients", "errors", "limited", "pins", "queries", "query_seconds", "retried", "to_replicas",
        "transactions", "uncounted", "unserved", "wait_seconds", "warned",
    )  # fmt: skip

    def __init__(self) -> None:
        self.clients = 0  # connected now
        self.transactions = 0
        self.queries = 0
        self.errors = 0
        self.query_seconds = Times()
        """From the request until the server is free."""
        self.wait_seconds = Times()
        """Only of those who had to wait for a server connection."""
        self.pins: Counter[str] = Counter()
        """By reason: what held a server connection beyond its transaction."""
        self.blocked = 0
        self.limited = 0
        self.uncounted = 0
        """What passed a limit that had no place to count it."""
        self.unserved = 0
        """Of the errors, those that no server answered: none could be had in time, or it was lost."""
        self.warned = 0
        """Statements that a firewall rule of the mode `warn` let pass."""
        self.to_replicas = 0
        self.retried = 0

    def unanswered(self, requests: int = 1, *, told: bool = False) -> None:
        """Count requests that no server answered, not counted yet; `told`: but for one error, with which it went."""
        self.queries += requests
        self.errors += requests - told
        self.unserved += requests


@dataclass(frozen=True, slots=True)
class TallyKey:
    """What a tally is for."""

    protocol: str
    route: str
    pool: str
    database: str
    user: str


@dataclass(slots=True)
class PoolGauge:
    """The connections to one server for one user and database, now."""

    pool: str
    server: str
    role: str
    database: str
    user: str
    connections: int
    idle: int
    waiting: int
    size: int


@dataclass(slots=True)
class Tallies:
    """All tallies of a worker. Of keys beyond `most`, the rest is counted together under the user `*`."""

    most: int = 1000
    kept: dict[TallyKey, Tally] = field(default_factory=dict)

    def of(self, key: TallyKey) -> Tally:
        """The tally of a kind of session, which is kept for good."""
        found = self.kept.get(key)
        if found is None:
            if len(self.kept) >= self.most:
                key = TallyKey(key.protocol, key.route, key.pool, "*", "*")
            found = self.kept.setdefault(key, Tally())
        return found
