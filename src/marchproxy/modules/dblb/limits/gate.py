"""The gate of a worker: limits that it keeps together with the others, and the firewall."""

import time

from marchproxy.modules.dblb.gate import Shut
from marchproxy.modules.dblb.limits.admission import LimitedPass, Office
from marchproxy.modules.dblb.limits.journal import Journal
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Who
from marchproxy.modules.dblb.tally import Tally
from marchproxy.modules.reception.limits.bucket import Nanoseconds
from marchproxy.modules.reception.limits.table import LimitTable


class LimitGate:
    """Lets clients in by the limits of their routes, and asks the firewall about what they send."""

    def __init__(self, table: LimitTable, now: Nanoseconds = time.monotonic_ns) -> None:
        self._office = Office(table, now, Journal(now))

    def apply(self, plan: DblbPlan, instances: int = 1) -> None:
        """Limit by this from now on, those who are in too; shared limits are divided among so many instances.

        Who is connected stays, though a limit on connections might not have let it in; it counts.
        """
        again, self._office.instances = instances != self._office.instances, instances
        routes = {(protocol, route.route_id): route for protocol, of in plan.routes.items() for route in of}
        for one in self._office.passes:
            route = routes.get(one.place)
            if route is not None:
                one.renew(route, again=again)

    def enter(self, route: RoutePlan, who: Who, tally: Tally) -> LimitedPass:
        """A client who has shown who it is. Raises Shut, and then has counted that in `tally`."""
        one = LimitedPass(self._office, route, who, tally)
        refusal = one.come()
        if refusal is not None:
            tally.limited += 1
            raise Shut(refusal)
        self._office.passes.add(one)
        return one

    def sweep(self) -> None:
        """Forget the connections of workers that are dead. To be called about once a second."""
        self._office.table.bury()

    def close(self) -> None:
        """Nobody is in any more, as far as other workers count. The gate must not be used any more."""
        for one in list(self._office.passes):
            one.leave()
        self._office.table.close()
