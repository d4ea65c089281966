"""Rate limits: how many requests a target may take."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from marchproxy.model.network import Network, read_network

LimitId = NewType("LimitId", str)

#: The target of a limit that holds for everything a module serves.
EVERYTHING = "*"


class LimitScope(Enum):
    """What a limit counts. The value is the word before the colon of a target; ROUTE and EVERYTHING have none.

    EVERYTHING and ROUTE are kept by the modules, in requests; the others by the NLB, in new connections, or new flows
    over UDP. LISTENER and MODULE count everybody together; SOURCE the clients of a CIDR together; CLIENT each client
    address of a CIDR by itself.
    """

    EVERYTHING = "*"
    ROUTE = ""
    LISTENER = "listener"
    MODULE = "module"
    SOURCE = "source"
    CLIENT = "client"


class LimitUnit(Enum):
    """What the rates of a limit on a route or on everything count: requests (of databases: statements), or connections."""

    REQUESTS = "requests"
    CONNECTIONS = "connections"


#: What of a database's client can have a bucket of its own.
PER_OF_DATABASES = frozenset({"user", "database", "application"})

#: The scopes that the NLB's data planes keep.
NLB_SCOPES = frozenset({LimitScope.LISTENER, LimitScope.MODULE, LimitScope.SOURCE, LimitScope.CLIENT})
_BY_WORD = {scope.value: scope for scope in NLB_SCOPES}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit on `target`. Each rate is requests per that time, 0: none; all given ones hold.

    `target`: a route id, `*`, `listener:NAME`, `module:TYPE`, `source:CIDR` or `client:CIDR` (an address alone is
    itself; see LimitScope). `burst` is the size of the per-second bucket (0: as large as the rate).
    `per` gives each value a bucket of its own: `client` (address) or `header:NAME`, of databases also `user`, `database`
    or `application`; for EVERYTHING and ROUTE only. `counts` CONNECTIONS and `max_concurrent`, the most connections at
    once (0: any number), are for routes of databases and of streams.
    `shared`: the instances of a module type divide it among themselves; otherwise each grants the whole.
    """

    limit_id: LimitId
    target: str
    per_second: int = 0
    per_minute: int = 0
    per_hour: int = 0
    burst: int = 0
    enabled: bool = True
    per: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    shared: bool = True
    counts: LimitUnit = LimitUnit.REQUESTS
    max_concurrent: int = 0

    @property
    def scope(self) -> LimitScope:
        """What the target is. A word before a colon that is no scope makes it a route id."""
        if self.target == EVERYTHING:
            return LimitScope.EVERYTHING
        word, colon, _ = self.target.partition(":")
        return _BY_WORD.get(word, LimitScope.ROUTE) if colon else LimitScope.ROUTE

    @property
    def has_rate(self) -> bool:
        """Whether it limits how often something may happen."""
        return bool(self.per_second or self.per_minute or self.per_hour)

    @property
    def counts_http(self) -> bool:
        """Whether requests of HTTP are among what its rates count."""
        return self.has_rate and self.counts is LimitUnit.REQUESTS and self.per not in PER_OF_DATABASES

    @property
    def of_connections(self) -> bool:
        """Whether it counts connections, all together or each client's."""
        rate = self.has_rate and self.counts is LimitUnit.CONNECTIONS
        return (rate or bool(self.max_concurrent)) and self.per in {"", "client"}

    @property
    def subject(self) -> str:
        """The target without the word of its scope: a name, a type or a CIDR."""
        return self.target.partition(":")[2] if self.scope in NLB_SCOPES else self.target

    @property
    def network(self) -> Network | None:
        """The clients that SOURCE and CLIENT count; None for other scopes, and for what is no CIDR."""
        return read_network(self.subject) if self.scope in {LimitScope.SOURCE, LimitScope.CLIENT} else None


def limits_on(route_id: str, limits: Iterable[RateLimit]) -> Iterator[RateLimit]:
    """Those that are on and hold for a route: its own, and those on everything."""
    for limit in limits:
        if limit.enabled and (
            limit.scope is LimitScope.EVERYTHING
            or (limit.scope is LimitScope.ROUTE and limit.target == route_id)
        ):
            yield limit
