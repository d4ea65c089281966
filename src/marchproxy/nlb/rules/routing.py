"""Routing: where a connection or request goes, and why. Pure; answers from the plan that the data planes carry."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from marchproxy.model.balance import Candidate, Draw, pick_instance
from marchproxy.model.listener import DataPlaneKind
from marchproxy.model.matching import Request, find_route
from marchproxy.model.module import HTTP_FAMILY, InstanceId, ModuleType, Protocol, Version
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, Verdict, VersionTargets
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.problem import RefusalCode
from marchproxy.model.route import Route, RouteId
from marchproxy.nlb.dataplane.plane import Choice


@dataclass(frozen=True, slots=True)
class Question:
    """A connection, or a request on one. What is not known is empty, 0 or None."""

    listener: str = ""
    port: int = 0
    protocol: Protocol | None = None
    module_type: ModuleType | None = None
    source: str = ""
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a decision rests on. `connections` are open ones by instance; `verdicts` concern routes of the table.

    `planes`: what carries each listener, by name.
    """

    plan: ForwardingPlan
    routes: Sequence[Route] = ()
    connections: Mapping[InstanceId, int] = field(default_factory=dict)
    verdicts: Mapping[tuple[InstanceId, str], Verdict] = field(default_factory=dict)
    planes: Mapping[str, Choice] = field(default_factory=dict)


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
    found = _find_listener(question, known.plan.listeners, trace)
    if isinstance(found, Decision):
        return found
    route = _find_route(question, found, known.routes, trace)
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


def serves(route: Route, plan: ListenerPlan) -> bool:
    """Whether a route of the table concerns what arrives at a listener."""
    listener = plan.listener
    return (
        (not route.listeners or listener.name in route.listeners)
        and route.destination_port in {0, listener.port}
        and route.module_type in {None, listener.module_type}
        and _same_family(route.protocol, listener.protocol)
    )


def _find_listener(
    question: Question, plans: Sequence[ListenerPlan], trace: _Trace
) -> ListenerPlan | Decision:
    fitting = [plan for plan in plans if _accepts(plan, question)]
    asked = _in_words(question)
    if not fitting:
        known = ", ".join(f"{p.listener.name} ({p.listener.address})" for p in plans) or "none"
        return trace.refuse(RefusalCode.NOT_FOUND, f"no listener accepts {asked}; listeners: {known}")
    if len(fitting) > 1:
        names = ", ".join(plan.listener.name for plan in fitting)
        reason = f"{asked} could arrive at several listeners ({names}); name one, or its port"
        return trace.refuse(RefusalCode.INVALID_ARGUMENT, reason)
    listener = fitting[0].listener
    trace.say(
        f'listener "{listener.name}" at {listener.address} ({listener.protocol.value}) accepts {asked}; '
        f"behind it: {listener.module_type.value}"
    )
    return fitting[0]


def _accepts(plan: ListenerPlan, question: Question) -> bool:
    listener = plan.listener
    if question.listener:
        return listener.name == question.listener
    return (
        question.port in {0, listener.port}
        and (question.protocol is None or _same_family(question.protocol, listener.protocol))
        and question.module_type in {None, listener.module_type}
    )


def _in_words(question: Question) -> str:
    parts = [
        f'a connection for listener "{question.listener}"' if question.listener else "a connection",
        f"to port {question.port}" if question.port else "",
        f"speaking {question.protocol.value}" if question.protocol else "",
        f"from {question.source}" if question.source else "",
    ]
    return " ".join(part for part in parts if part)


def _find_route(
    question: Question, plan: ListenerPlan, routes: Iterable[Route], trace: _Trace
) -> Route | None:
    if question.request is None:
        return None
    request = question.request
    here = [route for route in routes if serves(route, plan) and _covers(route.sources, question.source)]
    route = find_route(here, request)
    asked = f"{request.method} {request.host}{request.path}"
    if route is None:
        trace.say(f"no route of the table ({len(here)} apply here) matches {asked}: the module decides")
        return None
    backends = ", ".join(f"{backend.pool} {backend.weight} %" for backend in route.backends) or "none"
    trace.say(f'route "{route.route_id}" (priority {route.priority}) matches {asked}; its pools: {backends}')
    return route


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


def _say_verdict(
    route: Route, target: Target, verdicts: Mapping[tuple[InstanceId, str], Verdict], trace: _Trace
) -> None:
    verdict = verdicts.get((target.instance_id, RouteId(route.route_id)))
    if verdict is None:
        return
    answer = "can" if verdict.can_handle else "can not"
    because = f": {verdict.reason}" if verdict.reason else ""
    trace.say(f'{target.instance_id} says it {answer} handle route "{route.route_id}"{because}')


def _covers(networks: Sequence[str], source: str) -> bool:
    """Whether a client is in one of the networks; an unknown client is in none of them, and anybody when there are none."""
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def _same_family(first: Protocol, second: Protocol) -> bool:
    return first is second or {first, second} <= HTTP_FAMILY
