"""Checks of routes to language models: what may be asked for, who answers, and what such a route cannot have."""

from collections.abc import Iterator, Mapping

from marchproxy.model.ai import ANY_MODEL, AiPool, AiRoute, Model, ModelTarget, Prefer, Queue
from marchproxy.model.checks.headers import check_header_name
from marchproxy.model.checks.model_names import check_model_name, check_model_pattern
from marchproxy.model.model_names import fits
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rules import check_shares, check_wait, duplicates, known

_PLAIN = Route(RouteId(""))
_OVER = frozenset({Protocol.HTTP, Protocol.HTTPS, Protocol.HTTP2, Protocol.HTTP3})
#: What means nothing where the model decides who answers, and what there is in its place.
_INSTEAD: Mapping[str, str] = {
    "backends": "ai.models says which pools answer",
    "redirect": "ai.models says who answers",
    "response": "ai.models says who answers",
    "rewrite": "ai.base_path of a pool says where its API begins",
    "mirrors": "no answer of a language model is thrown away",
    "sticky": "ai.affinity_header keeps to one endpoint",
    "retry": "ai.attempts and the tiers of targets say what is tried again",
    "timeout": "ai.first_byte_timeout and idle_timeout bound an answer, which may be long",
    "max_request_bytes": "there is ai.max_body_bytes",
    "compression": "answers come piece by piece",
    "upgrades": "no API of language models is upgraded to",
}
_LONGEST_CACHE = 24 * 3600.0
_LONGEST_WAIT = 3600.0
_LARGEST_BODY = 64 * 1024 * 1024
_LARGEST_QUEUE = 100_000
_LARGEST_OUTPUT = 1_000_000
_MOST_ATTEMPTS = 10
_LAST_TIER = 9


def check_ai_route(
    route: Route, ai: AiRoute, path: str, pool_names: frozenset[str], pools: Mapping[str, BackendPool]
) -> Iterator[Problem]:
    """Faults of one route with `ai`; that its guardrails are there is `check_guardrails`' to say."""
    for key, instead in _INSTEAD.items():
        if getattr(route, key) != getattr(_PLAIN, key):
            yield Problem(f"{path}.{key}", f"means nothing with ai: {instead}; remove it")
    if route.protocol not in _OVER:
        yield Problem(
            f"{path}.protocol", f"language models are asked over http, not over {route.protocol.value}"
        )
    if route.module_type not in {None, ModuleType.AILB}:
        yield Problem(f"{path}.module", f"ai is for ailb, not for {route.module_type.value}; remove it")
    path = f"{path}.ai"
    yield from _check_models(ai, path)
    for index, model in enumerate(ai.models):
        yield from _check_model(model, f"{path}.models[{index}]", pool_names, pools)
    yield from _check_bounds(ai, path)
    yield from _check_queue(ai.queue, f"{path}.queue")
    if ai.affinity_header:
        yield from check_header_name(ai.affinity_header, f"{path}.affinity_header")


def _check_models(ai: AiRoute, path: str) -> Iterator[Problem]:
    """Names that are none, and names that an earlier one takes: the first that fits answers."""
    if not ai.models:
        yield Problem(f"{path}.models", 'names no model; {name: "*", targets: [POOL]} takes any')
    named: dict[str, str] = {}
    patterns: dict[str, str] = {}  # as a rule a few of many
    for where, name in _names(ai, path):
        yield from check_model_pattern(name, where)
        taker = named.get(name) or next((at for other, at in patterns.items() if fits(other, name)), None)
        if taker is not None:
            yield Problem(where, f'"{name}" is taken by {taker}, which stands before it; put it first')
        (patterns if name.endswith(ANY_MODEL) else named).setdefault(name, where)


def _names(ai: AiRoute, path: str) -> Iterator[tuple[str, str]]:
    for index, model in enumerate(ai.models):
        where = f"{path}.models[{index}]"
        yield f"{where}.name", model.name
        yield from ((f"{where}.aliases[{number}]", alias) for number, alias in enumerate(model.aliases))


def _check_model(
    model: Model, path: str, pool_names: frozenset[str], pools: Mapping[str, BackendPool]
) -> Iterator[Problem]:
    if not model.targets:
        yield Problem(f"{path}.targets", "names no pool, so nobody could answer")
    able = frozenset(name for name in pool_names if name not in pools or pools[name].ai)
    for number, target in enumerate(model.targets):
        where = f"{path}.targets[{number}]"
        if target.pool not in pool_names:
            yield Problem(f"{where}.pool", f'no pool "{target.pool}"{known(able)}')
        elif target.pool not in able:
            yield Problem(f"{where}.pool", f'pool "{target.pool}" has no ai, which says what it speaks')
        elif target.pool in pools:
            yield from _check_served(model, target, pools[target.pool].ai or AiPool(), f"{where}.pool")
        if not 0 <= target.tier <= _LAST_TIER:
            yield Problem(f"{where}.tier", f"{target.tier} is not between 0 and {_LAST_TIER}")
        if target.model:
            yield from check_model_name(target.model, f"{where}.model")
    yield from duplicates(
        f"{path}.targets", "pool", model.targets, lambda target: (target.pool, target.model)
    )
    yield from _check_weights(model, path)


def _check_served(model: Model, target: ModelTarget, pool: AiPool, path: str) -> Iterator[Problem]:
    """A pool that has only some models is asked for no other; of patterns that shows with each request."""
    name = target.model or pool.models.get(model.name, model.name)
    if not pool.serves or (model.name.endswith(ANY_MODEL) and not target.model):
        return
    if not any(fits(pattern, one) for pattern in pool.serves for one in (name, model.name)):
        yield Problem(
            path, f'pool "{target.pool}" does not serve "{name}"; its ai.serves: {", ".join(pool.serves)}'
        )


def _check_weights(model: Model, path: str) -> Iterator[Problem]:
    """Each tier is a split of its own."""
    weights = [(f"{path}.targets[{n}].weight", target) for n, target in enumerate(model.targets)]
    if model.prefer is not Prefer.WEIGHT:
        for where, target in weights:
            if target.weight != 100:
                yield Problem(where, f"means nothing with prefer: {model.prefer.value}; remove it")
        return
    for tier in sorted({target.tier for target in model.targets}):
        shares = [(where, target.weight) for where, target in weights if target.tier == tier]
        for problem in check_shares(shares, f"{path}.targets"):
            at_tier = problem.path == f"{path}.targets"
            yield Problem(problem.path, f"tier {tier}: {problem.message}") if at_tier else problem


def _check_bounds(ai: AiRoute, path: str) -> Iterator[Problem]:
    yield from check_wait(ai.first_byte_timeout, f"{path}.first_byte_timeout")
    if not 0 <= ai.cache <= _LONGEST_CACHE:
        yield Problem(f"{path}.cache", f"{ai.cache:g} s is not between 0 and a day")
    for key, most in (
        ("attempts", _MOST_ATTEMPTS),
        ("default_output", _LARGEST_OUTPUT),
        ("max_body_bytes", _LARGEST_BODY),
    ):
        number = getattr(ai, key)
        if not 1 <= number <= most:
            yield Problem(f"{path}.{key}", f"{number} is not between 1 and {most}")


def _check_queue(queue: Queue, path: str) -> Iterator[Problem]:
    if not 0 <= queue.size <= _LARGEST_QUEUE:
        yield Problem(f"{path}.size", f"{queue.size} is not between 0 and {_LARGEST_QUEUE:,}")
    if not 0 <= queue.wait <= _LONGEST_WAIT:
        yield Problem(f"{path}.wait", f"{queue.wait:g} s is not between 0 and an hour")
    elif queue.size and not queue.wait:
        yield Problem(f"{path}.wait", "is 0, so nobody could wait; say so with size: 0")
    if queue.priority_header:
        yield from check_header_name(queue.priority_header, f"{path}.priority_header")
