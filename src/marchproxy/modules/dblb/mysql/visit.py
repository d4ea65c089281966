"""Visit: who a client that has logged in is here, and what that means for its session."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from marchproxy.modules.dblb.gate import Pass, RefusalKind
from marchproxy.modules.dblb.gate import Refusal as Denial
from marchproxy.modules.dblb.mysql.cluster import Cluster
from marchproxy.modules.dblb.mysql.login import Credentials
from marchproxy.modules.dblb.mysql.reading import Readings
from marchproxy.modules.dblb.plan import RoutePlan, Who
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tally
from marchproxy.wire.mysql.endings import Refusal


@dataclass(slots=True)
class Visit:
    """One client's. `reads`: the cluster whose replicas answer reads; None: they are not split.

    `readings`: who reads statements; None: nobody needs to. `replica`: its session is on a replica, and it may not write.
    """

    plan: RoutePlan
    who: Who
    guard: Pass
    tally: Tally
    cluster: Cluster
    credentials: Credentials
    around: Surroundings
    reads: Cluster | None = None
    readings: Readings | None = None
    replica: bool = False
    pools: Mapping[str, Cluster] = field(default_factory=dict)
    """All clusters of the route, which comments may ask for."""


def refusal_of(denial: Denial) -> Refusal:
    """What the gate says, as an ERR: the firewall's as a lack of rights, a limit's as a resource that is used up."""
    if denial.kind is RefusalKind.BLOCKED:
        return Refusal(1227, "42000", denial.words)
    return Refusal(1226, "42000", denial.words)
