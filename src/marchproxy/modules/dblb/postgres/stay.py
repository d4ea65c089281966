"""Stay: what is known of a client that was let in."""

from dataclasses import dataclass

from marchproxy.model.database import Pooling
from marchproxy.model.module import PoolName
from marchproxy.modules.dblb.gate import Pass
from marchproxy.modules.dblb.plan import RoutePlan, Upstream, Who
from marchproxy.modules.dblb.postgres.login import Proof
from marchproxy.modules.dblb.tally import Tallies, Tally, TallyKey


@dataclass(slots=True)
class Stay:
    """Who it is, by which route and to which pool it came, what it may do, and where that is counted."""

    who: Who
    password: Proof
    """That it has proven, where it is known; towards servers."""
    route: RoutePlan
    upstream: Upstream
    gate: Pass
    tally: Tally
    tallies: Tallies

    @property
    def keeps(self) -> bool:
        """Whether it has a link for as long as it stays."""
        return self.upstream.options.pooling is Pooling.SESSION

    @property
    def database(self) -> str:
        """As it is called on the servers."""
        return self.route.options.rename or self.who.database

    def tally_in(self, pool: PoolName) -> Tally:
        """Where is counted what it reads in this pool."""
        return self.tally if pool == self.upstream.name else _tally(self.tallies, self.route, pool, self.who)


def tally_of(tallies: Tallies, route: RoutePlan, upstream: Upstream, who: Who) -> Tally:
    """Where clients of this kind are counted."""
    return _tally(tallies, route, upstream.name, who)


def _tally(tallies: Tallies, route: RoutePlan, pool: PoolName, who: Who) -> Tally:
    return tallies.of(TallyKey("postgres", route.route_id, pool, who.database, who.user))
