"""An explanation in words, step by step. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.contract.convert import route_from_pb
from marchproxy.contract.fleet.explaining.actions import action_lines
from marchproxy.contract.fleet.explaining.choices import certain, endpoint_lines, pool_line
from marchproxy.contract.fleet.explaining.explanation import Explanation, InModule
from marchproxy.contract.fleet.explaining.question import Question
from marchproxy.contract.fleet.words import health, rates, share
from marchproxy.contract.pb import types_pb2
from marchproxy.model.problem import InvalidValue

#: What a DBLB says of the sessions of a route, and an RTMP module of its streams.
_OF_SESSIONS = (
    *("reads", "writes", "firewall"),
    *("origin", "publish", "play", "duplicate", "push", "packaging", "limits", "free_bandwidth"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the decision, and those within it."""

    words: str
    inner: tuple["Step", ...] = ()


def steps(explanation: Explanation) -> tuple[Step, ...]:
    """What the NLB decided, and what the module that it chose does."""
    nlb = Step("NLB", tuple(Step(line) for line in explanation.nlb.trace))
    module = explanation.module
    if module is None:
        return (nlb,)
    inside = [Step(line) for line in _module_lines(module, explanation.question)]
    inside += [
        Step(pool_line(choice), tuple(Step(line) for line in endpoint_lines(choice)))
        for choice in module.verdict.choices
    ]
    name = f"{explanation.nlb.target_instance_id} ({explanation.nlb.version})"
    return (nlb, Step(name, tuple(inside)))


def conclusion(explanation: Explanation) -> str:
    """Where it ends, in one line."""
    module = explanation.module
    if explanation.served:
        route = f', route "{module.route.route_id}"' if module is not None and module.route else ""
        where = "" if module is None else certain(module.verdict.choices)
        return f"→ {explanation.nlb.target_instance_id}{route}{where}"
    if module is None:
        return "✗ goes nowhere"
    if explanation.refused and module.route is not None:
        return f'✗ route "{module.route.route_id}" {explanation.refused}'
    verb = "answered with 404" if explanation.question.is_request else "not taken"
    return f"✗ {verb} by {explanation.nlb.target_instance_id}"


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


def _limit_line(limit: types_pb2.RateLimit, instances: int, beyond: str) -> str:
    text = rates(limit, instances)
    burst = f", {limit.burst_size} at once" if limit.burst_size else ""
    per = f" for each {limit.per.replace(':', ' ')}" if limit.per else ""
    return f"limit {limit.limit_id} on {limit.target}: {text}{burst}{per}; beyond it: {beyond}"
