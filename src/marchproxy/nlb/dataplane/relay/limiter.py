"""Limiter: rate limits on new connections, over all listeners. Decides by `model.bucket`; remembers a bounded number of clients."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from marchproxy.model.bucket import Levels, rates_of, take
from marchproxy.model.limit import LimitId, LimitScope, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.nlb.dataplane.plane import LimitCounts
from marchproxy.nlb.dataplane.relay.addresses import Networks, source_of

#: Clients of one limit; beyond, the one that came longest ago is forgotten, and its bucket is full again.
MOST_CLIENTS = 65_536


class Limiter:
    """The limits of a process, each counted over all listeners that it applies to."""

    def __init__(self) -> None:
        self._kept: dict[LimitId, _Kept] = {}

    def replace(self, limits: Iterable[RateLimit]) -> None:
        """Keep these from now on; one that stays as it was goes on with its buckets."""
        before = self._kept
        self._kept = {}
        for limit in limits:
            known = before.get(limit.limit_id)
            self._kept[limit.limit_id] = known if known and known.limit == limit else _Kept(limit, known)

    def admit(self, listener: Listener, host: str, now: float) -> bool:
        """Whether a new connection keeps to every limit; then each one has counted it, otherwise none."""
        if not self._kept:
            return True
        concerned = [kept for kept in self._kept.values() if kept.concerns(listener, host)]
        levels = [(kept, kept.key(host)) for kept in concerned]
        taken = [(kept, key, take(kept.levels.get(key), kept.rates, now)) for kept, key in levels]
        full = True
        for kept, _, after in taken:
            if after is None:
                kept.denied += 1
                full = False
        if full:
            for kept, key, after in taken:
                kept.count(key, after or ())
        return full

    def counts(self) -> Mapping[LimitId, LimitCounts]:
        """What each limit let pass and refused."""
        return {key: LimitCounts(kept.allowed, kept.denied) for key, kept in self._kept.items()}


class _Kept:
    def __init__(self, limit: RateLimit, before: "_Kept | None") -> None:
        self.limit = limit
        self.rates = rates_of(limit)
        self.levels: OrderedDict[str, Levels] = OrderedDict()
        self.allowed: int = before.allowed if before else 0
        self.denied: int = before.denied if before else 0
        self._by_client = limit.scope is LimitScope.CLIENT
        addressed = limit.scope in {LimitScope.SOURCE, LimitScope.CLIENT}
        self._networks = Networks((limit.subject,) if addressed else ())

    def concerns(self, listener: Listener, host: str) -> bool:
        match self.limit.scope:
            case LimitScope.LISTENER:
                return listener.name == self.limit.subject
            case LimitScope.MODULE:
                return listener.module_type.value == self.limit.subject
            case LimitScope.SOURCE | LimitScope.CLIENT:
                return host in self._networks
            case LimitScope.EVERYTHING | LimitScope.ROUTE:
                return False  # the modules keep these

    def key(self, host: str) -> str:
        return source_of(host) if self._by_client else ""

    def count(self, key: str, levels: Levels) -> None:
        self.allowed += 1
        self.levels[key] = levels
        self.levels.move_to_end(key)
        if len(self.levels) > MOST_CLIENTS:
            self.levels.popitem(last=False)
