"""Routing: where a connection or request goes, and why. Pure; answers from the plan that the data planes carry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from marchproxy.model.balance import Candidate, Draw, pick_instance
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.matching import find_route
from marchproxy.model.module import InstanceId, ModuleType, Version
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, Verdict, VersionTargets, spoken_to
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.problem import RefusalCode
from marchproxy.model.route import Route, RouteId
from marchproxy.model.sharing import Port, Sharing, share
from marchproxy.nlb.dataplane.plane import Choice
from marchproxy.nlb.rules.arrival import find_arrivals
from marchproxy.nlb.rules.clients import counting, turned_away
from marchproxy.nlb.rules.question import Question, same_family
from marchproxy.nlb.state.verdicts import Lookup


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a decision rests on. `connections` are open ones by instance; `verdicts` concern routes of the table.

    `planes`: what carries each listener, by name. `limits`: those that the NLB keeps.
    """

    plan: ForwardingPlan
    routes: Sequence[Route] = ()
    connections: Mapping[InstanceId, int] = field(default_factory=dict)
    verdicts: Lookup = field(default_factory=dict[tuple[InstanceId, str], Verdict])
    planes: Mapping[str, Choice] = field(default_factory=dict)
    limits: Sequence[RateLimit] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Where it goes. Without a `target` it goes nowhere: `code` and `reason` say why. `trace` has every step in words."""

    trace: tuple[str, ...]
    listener: str = ""
    route: Route | None = None
    version: Version = Version("")
    target: Target | None = None
    module_type: ModuleType | None = None
    code: RefusalCode | None = None
    reason: str = ""


@dataclass(slots=True)
class _Trace:
    steps: list[str] = field(default_factory=list)

    def say(self, step: str) -> None:
        self.steps.append(step)

    def refuse(self, code: RefusalCode, reason: str, plan: ListenerPlan | None = None) -> Decision:
        self.say(reason)
        listener = plan.listener if plan else None
        return Decision(
            tuple(self.steps),
            listener=listener.name if listener else "",
            module_type=listener.module_type if listener else None,
            code=code,
            reason=reason,
        )


def decide(question: Question, known: Knowledge, draw: Draw) -> Decision:
    """Answer as the data plane would: listener, then version by weight, then instance by the listener's policy.

    The route of the table is found for the record: at this layer it does not choose the instance, the module does.
    """
    trace = _Trace()
    ports = share(plan.listener for plan in known.plan.listeners)
    found = _find_listener(question, known, ports, trace)
    if isinstance(found, Decision):
        return found
    if reason := turned_away(found.listener, question.source):
        return trace.refuse(RefusalCode.PERMISSION_DENIED, reason, found)
    for limit in counting(known.limits, found.listener, question.source):
        trace.say(_limit_in_words(limit))
    port = next(port for port in ports if found.listener in port.listeners)
    route = _find_route(question, found.listener, port, known.routes, trace)
    if not found.versions:
        reasons = "; ".join(f"{skipped.instance_id} {skipped.reason}" for skipped in found.skipped)
        kind = found.listener.module_type.value
        reason = f"no {kind} instance takes connections: {reasons or 'none is registered'}"
        return trace.refuse(RefusalCode.UNAVAILABLE, reason, found)
    version = _pick_version(found, draw, trace)
    target = _pick_target(_as_carried(found, version, known.planes, trace), known.connections, draw, trace)
    if route is not None:
        _say_verdict(route, target, known.verdicts, trace)
    return Decision(
        tuple(trace.steps),
        listener=found.listener.name,
        route=route,
        version=version.version,
        target=target,
        module_type=found.listener.module_type,
        reason=f'listener "{found.listener.name}" → {target.instance_id} ({version.version}) at {target.endpoint.address}',
    )


def serves(route: Route, listener: Listener, port: Port) -> bool:
    """Whether a route of the table concerns what arrives at a listener of this port."""
    if port.sharing is Sharing.REQUEST and route.only_for is None and listener is not port.first:
        return False
    return (
        (not route.listeners or listener.name in route.listeners)
        and route.destination_port in {0, listener.port}
        and route.only_for in {None, listener.module_type}
        and same_family(route.protocol, spoken_to(listener))
    )


def _find_listener(
    question: Question, known: Knowledge, ports: Sequence[Port], trace: _Trace
) -> ListenerPlan | Decision:
    arrivals = find_arrivals(question, ports, known.routes)
    asked = question.in_words()
    if not arrivals:
        listeners = ", ".join(_in_words(plan.listener) for plan in known.plan.listeners) or "none"
        return trace.refuse(RefusalCode.NOT_FOUND, f"no listener accepts {asked}; listeners: {listeners}")
    if len(arrivals) > 1:
        names = ", ".join(arrival.listener.name for arrival in arrivals)
        reason = f"{asked} could arrive at several listeners ({names}); name one, its port, or what the client says"
        return trace.refuse(RefusalCode.INVALID_ARGUMENT, reason)
    listener, told_by = arrivals[0].listener, arrivals[0].told_by
    trace.say(
        f'listener "{listener.name}" at {listener.address} ({listener.protocol.value}) accepts {asked}; '
        f"behind it: {listener.module_type.value}"
    )
    if told_by:
        trace.say(f"it is told from others at the same address: {told_by}")
    return next(plan for plan in known.plan.listeners if plan.listener is listener)


def _in_words(listener: Listener) -> str:
    names = f", {'/'.join(listener.server_names)}" if listener.server_names else ""
    offers = f", alpn {'/'.join(listener.alpn)}" if listener.alpn else ""
    return f"{listener.name} ({listener.address}{names}{offers})"


def _limit_in_words(limit: RateLimit) -> str:
    rates = (("a second", limit.per_second), ("a minute", limit.per_minute), ("an hour", limit.per_hour))
    words = ", ".join(f"{rate} {unit}" for unit, rate in rates if rate)
    burst = f", {limit.burst} at once" if limit.burst else ""
    return f'limit "{limit.limit_id}" on {limit.target}: {words}{burst}; connections beyond it are closed'


def _find_route(
    question: Question, listener: Listener, port: Port, routes: Iterable[Route], trace: _Trace
) -> Route | None:
    if question.request is None:
        return None
    request = replace(question.request, source=question.source)
    here = [route for route in routes if serves(route, listener, port)]
    route = find_route(here, request)
    asked = f"{request.method} {request.host}{request.path}"
    if route is None:
        trace.say(f"no route of the table ({len(here)} apply here) matches {asked}: the module decides")
        return None
    trace.say(f'route "{route.route_id}" (priority {route.priority}) matches {asked}; {_answers(route)}')
    return route


def _answers(route: Route) -> str:
    if route.redirect is not None:
        return "it redirects"
    if route.response is not None:
        return "it answers by itself"
    if route.ai is not None:
        return f"its pools: {', '.join(route.answering) or 'none'}, as the model asks"
    backends = ", ".join(f"{backend.pool} {backend.weight} %" for backend in route.backends) or "none"
    return f"its pools: {backends}"


def _pick_version(plan: ListenerPlan, draw: Draw, trace: _Trace) -> VersionTargets:
    by_id = {InstanceId(version.version): version for version in plan.versions}
    candidates = [Candidate(key, weight=version.weight) for key, version in by_id.items()]
    hashed = plan.listener.balance is BalancePolicy.SOURCE_HASH
    total = sum(candidate.weight for candidate in candidates)
    turn = Draw(turn=int(draw.rolls[0] * total), source=draw.source)
    policy = BalancePolicy.SOURCE_HASH if hashed else BalancePolicy.ROUND_ROBIN
    chosen = pick_instance(policy, candidates, turn)
    if chosen is None:
        raise ValueError("a plan's versions have weights of more than 0")
    version = by_id[chosen.instance_id]
    shares = ", ".join(f"{v.version} {100 * v.weight / total:.3g} %" for v in plan.versions)
    trace.say(f'version "{version.version}" was drawn from {shares}')
    return version


def _as_carried(
    plan: ListenerPlan, version: VersionTargets, planes: Mapping[str, Choice], trace: _Trace
) -> ListenerPlan:
    """The listener with this version alone, and its instances' endpoints as the data plane that carries it uses them."""
    targets = version.targets
    choice = planes.get(plan.listener.name)
    if choice is not None:
        trace.say(f"the {choice.plane.value} data plane carries it: {choice.reason}")
        if choice.plane is DataPlaneKind.KERNEL:
            targets = tuple(replace(target, endpoint=target.plain or target.endpoint) for target in targets)
    return replace(plan, versions=(replace(version, targets=targets),))


def _pick_target(
    plan: ListenerPlan,
    connections: Mapping[InstanceId, int],
    draw: Draw,
    trace: _Trace,
) -> Target:
    by_id = {target.instance_id: target for version in plan.versions for target in version.targets}
    candidates = [Candidate(key, connections.get(key, 0), target.weight) for key, target in by_id.items()]
    chosen = pick_instance(plan.listener.balance, candidates, draw)
    if chosen is None:
        raise ValueError("a plan's targets have weights of more than 0")
    target = by_id[chosen.instance_id]
    counts = ", ".join(f"{c.instance_id} {c.connections}" for c in candidates)
    proxied = " with PROXY protocol v2" if target.endpoint.proxy_protocol else ""
    trace.say(
        f"{plan.listener.balance.value} chose {target.instance_id} (open connections: {counts}); "
        f"its endpoint is {target.endpoint.address}{proxied}"
    )
    for skipped in plan.skipped:
        trace.say(f"{skipped.instance_id} was not considered: {skipped.reason}")
    return target


def _say_verdict(route: Route, target: Target, verdicts: Lookup, trace: _Trace) -> None:
    verdict = verdicts.get((target.instance_id, RouteId(route.route_id)))
    if verdict is None:
        return
    answer = "can" if verdict.can_handle else "can not"
    because = f": {verdict.reason}" if verdict.reason else ""
    trace.say(f'{target.instance_id} says it {answer} handle route "{route.route_id}"{because}')
