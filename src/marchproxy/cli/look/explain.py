"""`marchproxy explain`: which listener, route, module, instance, pool and endpoint a request goes to, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from marchproxy.cli.look.actions import action_lines, refusal
from marchproxy.cli.look.choices import certain, endpoint_lines, pool_line
from marchproxy.cli.look.get import as_data
from marchproxy.cli.look.question import Question
from marchproxy.cli.look.sheets import health, rates, share
from marchproxy.cli.screen import stdout
from marchproxy.contract.convert import route_from_pb
from marchproxy.contract.fleet.client import CallFailed, Client, connected
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.model.problem import InvalidValue
from marchproxy.model.route import Route, RouteId

#: What a DBLB says of the sessions of a route, and an RTMP module of its streams.
_OF_SESSIONS = (
    *("reads", "writes", "firewall"),
    *("origin", "publish", "play", "duplicate", "push", "packaging", "limits", "free_bandwidth"),
)


@dataclass(frozen=True, slots=True)
class InModule:
    """What happens inside the chosen instance; `route` and what belongs to it only where one matches."""

    verdict: module_pb2.CanHandleResponse
    route: types_pb2.Route | None = None
    pools: tuple[types_pb2.BackendPool, ...] = ()
    limits: tuple[types_pb2.RateLimit, ...] = ()
    instances: int = 1
    """Among how many instances its shared limits are divided."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The NLB's decision, and the module's."""

    question: Question
    nlb: nlb_pb2.RouteRequestResponse
    module: InModule | None = None

    @property
    def served(self) -> bool:
        """Whether the request is answered as its route says, and not turned away."""
        return (
            self.nlb.routed
            and self.module is not None
            and self.module.verdict.can_handle
            and not self.refused
        )

    @property
    def refused(self) -> str:
        """Why the route turns the client away; empty: it does not."""
        return _refusal(self.module, self.question.client)


async def explain(nlb: str, question: Question, *, as_json: bool) -> bool:
    """Print where a request goes and why; return whether it is served. Raises CallFailed."""
    async with connected(nlb) as client:
        explanation = await find_out(client, question)
    console = stdout()
    if as_json:
        console.print_json(data=as_json_data(explanation), indent=2 if console.is_terminal else None)
    else:
        console.print(explanation_text(explanation))
    return explanation.served


async def find_out(client: Client, question: Question) -> Explanation:
    """Ask the NLB, then the instance that it chose. Raises CallFailed."""
    request = question.for_nlb()
    decision = await client.nlb(lambda stub, left: stub.RouteRequest(request, timeout=left))
    if not decision.routed:
        return Explanation(question, decision)
    address = await _address_of(client, decision.target_instance_id)
    status = nlb_pb2.GetNLBStatusRequest()
    listeners = (await client.nlb(lambda stub, left: stub.GetNLBStatus(status, timeout=left))).listeners
    spoken = next((_spoken(item) for item in listeners if item.name == decision.listener), None)
    if spoken is None:
        raise CallFailed(f'listener "{decision.listener}" went while the question was answered; ask again')
    asked = question.for_module(spoken)
    verdict = await client.module(address, lambda stub, left: stub.CanHandle(asked, timeout=left))
    return Explanation(question, decision, await _inside(client, address, verdict))


def as_json_data(explanation: Explanation) -> dict[str, Any]:
    """The explanation for programs: the answers of the contract under the names of its steps."""
    question, module = explanation.question, explanation.module
    data: dict[str, Any] = {
        "question": question.in_words(),
        "served": explanation.served,
        "refused": explanation.refused,
        "nlb": as_data(explanation.nlb),
        "module": None,
    }
    if module is not None:
        data["module"] = {
            "verdict": as_data(module.verdict),
            "route": as_data(module.route) if module.route else None,
            "pools": [as_data(pool) for pool in module.pools],
            "rate_limits": [as_data(limit) for limit in module.limits],
            "limits_divided_by": module.instances,
        }
    return data


def explanation_text(explanation: Explanation) -> Group:
    """The explanation for people."""
    tree = Tree(Text(explanation.question.in_words(), style="bold"), guide_style="dim")
    step = tree.add(Text("NLB", style="bold cyan"))
    for line in explanation.nlb.trace:
        step.add(Text(line))
    if explanation.module is not None:
        name = explanation.nlb.target_instance_id
        inside = tree.add(Text(f"{name} ({explanation.nlb.version})", style="bold cyan"))
        for line in _module_lines(explanation.module, explanation.question):
            inside.add(Text(line))
        for choice in explanation.module.verdict.choices:
            pool = inside.add(Text(pool_line(choice)))
            for line in endpoint_lines(choice):
                pool.add(Text(line))
    return Group(tree, _conclusion(explanation))


def _module_lines(module: InModule, question: Question) -> list[str]:
    verb = "takes it" if module.verdict.can_handle else "does not take it"
    lines = [f"{verb}: {module.verdict.reason}"]
    if module.route is None:
        return lines
    lines += _action_lines(module.route, question)
    lines += [
        f"{key}: {module.verdict.metadata[key]}" for key in _OF_SESSIONS if key in module.verdict.metadata
    ]
    lines += _model_lines(module.verdict.metadata)
    beyond = "refused" if question.is_session else "429"
    lines += [_limit_line(limit, module.instances, beyond) for limit in module.limits]
    if not module.verdict.choices:
        lines += _pool_lines(module, module.route)
    return lines


def _model_lines(told: Mapping[str, str]) -> list[str]:
    """Who answers for the model that was asked for, as an AILB says."""
    if "model" not in told:
        return []
    unsound = f"; {told['unsound']}" if "unsound" in told else ""
    return [f'the model "{told["model"]}" is served by {told["pools"]}{unsound}']


def _pool_lines(module: InModule, route: types_pb2.Route) -> list[str]:
    """The pools of a module that does not tell where a request would go."""
    lines = (
        [f"which endpoint cannot be told: {why}"] if (why := module.verdict.metadata.get("choices")) else []
    )
    shares = {ref.pool: share(ref, route) for ref in route.backends}
    for pool in module.pools:
        healthy = [e.address for e in pool.endpoints if health(e.health_status) in {"healthy", "unknown"}]
        does = "may be asked" if route.HasField("ai") else f"gets {shares.get(pool.name, 0)} %"
        lines.append(
            f"pool {pool.name} ({pool.version}) {does}; healthy: "
            f"{len(healthy)} of {len(pool.endpoints)} endpoints ({', '.join(healthy) or 'none: every one is tried'})"
        )
    return lines


def _action_lines(route: types_pb2.Route, question: Question) -> list[str]:
    try:
        return list(action_lines(route_from_pb(route), question))
    except InvalidValue as error:  # of a module that is newer than this program
        return [f"what else it does cannot be told: {error}"]


def _refusal(module: InModule | None, client: str) -> str:
    if module is None or module.route is None:
        return ""
    return refusal(Route(RouteId(""), allow=tuple(module.route.allow), deny=tuple(module.route.deny)), client)


def _limit_line(limit: types_pb2.RateLimit, instances: int, beyond: str) -> str:
    text = rates(limit, instances)
    burst = f", {limit.burst_size} at once" if limit.burst_size else ""
    per = f" for each {limit.per.replace(':', ' ')}" if limit.per else ""
    return f"limit {limit.limit_id} on {limit.target}: {text}{burst}{per}; beyond it: {beyond}"


def _conclusion(explanation: Explanation) -> Text:
    module = explanation.module
    if explanation.served:
        route = f', route "{module.route.route_id}"' if module is not None and module.route else ""
        where = "" if module is None else certain(module.verdict.choices)
        return Text(f"→ {explanation.nlb.target_instance_id}{route}{where}", style="bold green")
    if module is None:
        return Text("✗ goes nowhere", style="bold red")
    if explanation.refused and module.route is not None:
        return Text(f'✗ route "{module.route.route_id}" {explanation.refused}', style="bold red")
    verb = "answered with 404" if explanation.question.is_request else "not taken"
    return Text(f"✗ {verb} by {explanation.nlb.target_instance_id}", style="bold red")


def _spoken(listener: nlb_pb2.Listener) -> types_pb2.Protocol.ValueType:
    """What the module behind a listener gets: what is left where TLS ends."""
    inside = {
        types_pb2.PROTOCOL_HTTPS: types_pb2.PROTOCOL_HTTP,
        types_pb2.PROTOCOL_RTMPS: types_pb2.PROTOCOL_RTMP,
    }
    return inside.get(listener.protocol, listener.protocol) if listener.HasField("tls") else listener.protocol


async def _address_of(client: Client, instance_id: str) -> str:
    for instance in await client.instances():
        if instance.instance_id == instance_id:
            return instance.address
    raise CallFailed(f"{instance_id} left while the question was answered; ask again")


async def _inside(client: Client, address: str, verdict: module_pb2.CanHandleResponse) -> InModule:
    """The module's own route, with its pools and limits, where the verdict names one."""
    route_id = verdict.metadata.get("route_id")
    if not route_id:
        return InModule(verdict)
    only = types_pb2.Query(filters=[types_pb2.Filter(field="route_id", operator="eq", value=route_id)])
    asked = module_pb2.GetRoutesRequest(query=only)
    routes = (await client.module(address, lambda stub, left: stub.GetRoutes(asked, timeout=left))).routes
    if not routes:
        return InModule(verdict)
    route = routes[0]
    pools = await _pools(client, address, route)
    everything = module_pb2.GetRateLimitsRequest()
    answer = await client.module(address, lambda stub, left: stub.GetRateLimits(everything, timeout=left))
    limits = [item for item in answer.limits if item.enabled and item.target in {route_id, "*"}]
    return InModule(verdict, route, tuple(pools), tuple(limits), answer.instances_of_type)


async def _pools(client: Client, address: str, route: types_pb2.Route) -> Sequence[types_pb2.BackendPool]:
    targets = (target.pool for model in route.ai.models for target in model.targets)
    names = dict.fromkeys((*(ref.pool for ref in route.backends), *targets))
    named = module_pb2.GetBackendsRequest(names=names)
    if not named.names:  # no name would ask for all of them
        return ()
    return (await client.module(address, lambda stub, left: stub.GetBackends(named, timeout=left))).pools
