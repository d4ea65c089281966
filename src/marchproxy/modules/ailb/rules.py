"""Rules: what is asked of an AILB beyond what every HTTP gateway is asked: models. No I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from marchproxy.model.ai import Pick
from marchproxy.model.choice import PoolChoice
from marchproxy.model.module import ModuleType, PoolName
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import Endpoint
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb.choice import Attempts, Standing
from marchproxy.modules.ailb.plan import AiPlan, ModelPlan, compile_plan
from marchproxy.modules.ailb.talk import Move
from marchproxy.modules.base.observation import EndpointSeen, Observation, PoolSeen
from marchproxy.modules.http.resources.clusters import resolved_by_envoy

_MOST_FAULTS = 5  # of a pool, in one message
_PICKS = {
    Pick.SCORED: "by its queue, its KV cache and the prompts that it has seen",
    Pick.LEAST_PENDING: "with the fewest requests under way",
    Pick.ROUND_ROBIN: "in turn",
}


class Plans:
    """The plan of a state, worked out once: an NLB asks about thousands of routes, one by one."""

    def __init__(self) -> None:
        self._last: tuple[DesiredState, AiPlan] = (DesiredState(), AiPlan())

    def of(self, state: DesiredState) -> AiPlan:
        """That of `state`; at once, where it is the same object as before."""
        if state is not self._last[0]:
            self._last = state, compile_plan(state)
        return self._last[1]


def with_all_pools(before: DesiredState, after: DesiredState) -> DesiredState:
    """`before`, with the pools of `after` too; a pool of both is as it is `after`."""
    if not before.routes:
        return before  # nobody is served yet
    pools = {pool.name: pool for pool in (*before.pools, *after.pools)}
    found = tuple(pools.values())
    return before if found == before.pools else replace(before, pools=found)


def with_model(
    verdict: Verdict, plan: AiPlan, context: Mapping[str, str], unsound: Mapping[PoolName, str]
) -> Verdict:
    """The verdict on a request for the model in the context. `unsound`: pools without an endpoint that may be asked, and why."""
    route = plan.routes.get(RouteId(verdict.details.get("route_id", "")))
    asked = context.get("model", "")
    if route is None or not verdict.can_handle or not asked:
        return verdict
    model = route.model(asked)
    if model is None or not model.targets:
        return replace(
            verdict, can_handle=False, reason=f'{verdict.reason}; but nobody serves the model "{asked}"'
        )
    asked_pools = dict.fromkeys(target.pool.name for target in model.targets if target.weight)
    faults = {pool: unsound[pool] for pool in asked_pools if pool in unsound}
    if len(faults) == len(asked_pools):
        words = "; ".join(f"pool {pool}: {fault}" for pool, fault in faults.items())
        reason = f'{verdict.reason}; but no endpoint for the model "{model.name}" is sound: {words}'
        return replace(verdict, can_handle=False, reason=reason)
    details = {**verdict.details, "model": model.name, "pools": _words(model)}
    if faults:
        details["unsound"] = "; ".join(f"pool {pool}: {fault}" for pool, fault in faults.items())
    return replace(verdict, details=details)


def as_forwarding(state: DesiredState, route_id: RouteId, asked: str) -> DesiredState:
    """`state` with a route to models as one that forwards to the pools that are asked first."""
    return replace(
        state, routes=tuple(_forwarding(r, asked) if r.route_id == route_id else r for r in state.routes)
    )


def as_decided(choices: Iterable[PoolChoice], state: DesiredState) -> Sequence[PoolChoice]:
    """What a gateway says of its pools, in which the decider names the endpoint; how likely each is, the gateway guesses."""
    pools = state.pools_by_name()
    return tuple(
        [
            replace(choice, policy=_PICKS[pool.ai.pick])
            if (pool := pools.get(PoolName(choice.pool))) and pool.ai
            else choice
            for choice in choices
        ]
    )


def unsound(
    seen: Observation, standings: Iterable[Standing], unfit: Mapping[str, str]
) -> Mapping[PoolName, str]:
    """The pools none of whose endpoints may be asked, and why not. `unfit`: endpoints whose GPUs are not well, and how."""
    failing = {(str(one.pool), one.address) for one in standings if not one.is_sound}
    found: dict[PoolName, str] = {}
    for name, pool in seen.pools.items():
        faults = [_fault(one, unfit, failed=(name, one.address) in failing) for one in pool.endpoints]
        if all(faults):
            more = f" (and {len(faults) - _MOST_FAULTS} more)" if len(faults) > _MOST_FAULTS else ""
            found[PoolName(name)] = (
                "; ".join(faults[:_MOST_FAULTS]) + more if faults else "it has no endpoint"
            )
    return found


def _fault(endpoint: EndpointSeen, unfit: Mapping[str, str], *, failed: bool) -> str:
    if words := unfit.get(endpoint.address):
        return f"{endpoint.address}: {words}"
    if not endpoint.healthy:
        return f"{endpoint.address} fails its health checks"
    return f"{endpoint.address} is left alone for a while, because it failed" if failed else ""


def addresses(seen: Observation) -> Iterator[str]:
    """Of all endpoints."""
    return (endpoint.address for pool in seen.pools.values() for endpoint in pool.endpoints)


def moved(state: DesiredState, seen: Observation, unfit: Mapping[str, str]) -> Move:
    """Endpoints of pools that are found, and not only listed, and those that are not to be asked: Envoy thinks that they are not
    well, or their GPUs are not."""
    places: dict[PoolName, tuple[Endpoint, ...]] = {}
    out: dict[PoolName, tuple[str, ...]] = {}
    for pool in state.pools:
        found = seen.pools.get(pool.name)
        if pool.ai is None or found is None:
            continue
        if resolved_by_envoy(pool) or pool.discovery.srv or pool.discovery.file:
            places[pool.name] = tuple(Endpoint(one.address) for one in found.endpoints)
        if ill := tuple(one.address for one in found.endpoints if not one.healthy or one.address in unfit):
            out[pool.name] = ill
    return Move(places, out)


def attempted(pools: Mapping[str, PoolSeen], attempts: Mapping[PoolName, Attempts]) -> Mapping[str, PoolSeen]:
    """Pools with their attempts in place of what clients were answered: a canary that fails must not hide behind a pool
    that answers for it."""
    return {
        name: replace(
            pool,
            traffic=replace(pool.traffic, requests=ended.served + ended.failed, failures=ended.failed),
        )
        if (ended := attempts.get(PoolName(name)))
        else pool
        for name, pool in pools.items()
    }


def _forwarding(route: Route, asked: str) -> Route:
    if route.ai is None or not route.ai.models:
        return route
    models = route.ai.models
    model = next((one for one in models if asked in {one.name, *one.aliases}), models[0])
    first = min((target.tier for target in model.targets), default=0)
    backends = tuple(BackendRef(one.pool, one.weight) for one in model.targets if one.tier == first)
    return replace(route, ai=None, module_type=ModuleType.AILB, backends=backends)


def _words(model: ModelPlan) -> str:
    return ", ".join(
        f"{target.pool.name} {target.weight} % of tier {target.tier}" for target in model.targets
    )
