"""World: everything the NLB's decisions rest on, in one value, and the forwarding that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from marchproxy.model.limit import NLB_SCOPES
from marchproxy.model.module import InstanceId, ModuleInstance
from marchproxy.model.plan import Planner, Verdict
from marchproxy.model.ramp import Ramp
from marchproxy.model.sharing import Sharing, share
from marchproxy.model.state import DesiredState
from marchproxy.nlb.dataplane.plane import Forwarding, park
from marchproxy.nlb.state.progress import Progress
from marchproxy.nlb.state.registry import Registry
from marchproxy.nlb.state.table import RoutingTable


@dataclass(frozen=True, slots=True)
class Rebalance:
    """Weights in place of the configured ones, until a monotonic time."""

    weights: Mapping[InstanceId, int] = field(default_factory=dict)
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class World:
    """What is wanted and who is there."""

    desired: DesiredState = field(default_factory=DesiredState)
    registry: Registry = field(default_factory=Registry)
    table: RoutingTable = field(default_factory=RoutingTable)
    rebalance: Rebalance = field(default_factory=Rebalance)
    progress: Progress = field(default_factory=Progress)

    def with_ramp(self, ramp: Ramp) -> "World":
        """With a gradual promotion as it now stands."""
        return replace(self, progress=self.progress.with_ramp(ramp))


def forward(
    world: World, verdicts: Mapping[tuple[InstanceId, str], Verdict], planner: Planner | None = None
) -> Forwarding:
    """What the data planes should carry; `verdicts` by instance and listener name. `planner` knows the plan before."""
    instances = [_weighted(instance, world.rebalance) for instance in world.registry.instances()]
    plan = (planner or Planner()).compile(world.desired.listeners, instances, verdicts)
    limits = tuple(
        limit for limit in world.desired.rate_limits if limit.enabled and limit.scope in NLB_SCOPES
    )
    routes = (
        world.table.routes()
        if any(port.sharing is Sharing.REQUEST for port in share(world.desired.listeners))
        else ()
    )
    return Forwarding(plan, park(plan, instances), limits, tuple(routes))


def _weighted(instance: ModuleInstance, rebalance: Rebalance) -> ModuleInstance:
    weight = rebalance.weights.get(instance.instance_id)
    if weight is None or instance.traffic_weight <= 0:
        return instance
    return replace(instance, traffic_weight=weight)
