"""Passing: what Envoy is told of a request that is let pass. Pure."""

from functools import lru_cache
from urllib.parse import quote

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.choice import Chosen
from marchproxy.modules.ailb.decision.inquiry import Inquiry
from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.plan import ModelPlan, Target

#: A letter that may stand in a header as it is.
_PLAIN = "/:@+,;=!*()[]~ "


def clusters(asked: Asked, chosen: Chosen, tasks: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Where each attempt goes: through a relay where bytes must be looked at."""
    found: list[str] = []
    before, name = None, ""
    for target, _, _ in chosen.attempts:
        if target is not before:  # mostly it is one for all
            before = target
            relayed = tasks or is_relayed(asked, target)
            name = (asking.relay_cluster if relayed else asking.pool_cluster)(target.pool.name)
        found.append(name)
    return tuple(found)


def is_relayed(asked: Asked, target: Target) -> bool:
    """Whether a relay stands before the target, for this request."""
    pool = target.pool
    return pool.dialect is not asked.operation.dialect or (asked.stream and pool.options.in_band_errors)


def told(
    number: int, inquiry: Inquiry, asked: Asked, model: ModelPlan, chosen: Chosen, tasks: tuple[str, ...] = ()
) -> tuple[tuple[str, str], ...]:
    """The metadata of a request."""
    query = inquiry.request.target.partition("?")[2]
    path = f"{asked.operation.path}?{query}" if query else asked.operation.path
    names: dict[str, str] = {}
    for target, _, _ in chosen.attempts:
        if target.name != asked.model:
            names[target.pool.name] = target.name
    found = [
        (asking.ID, str(number)),
        *_what(asked.operation, model.name, stream=asked.stream),
    ]
    if names or tasks or not _may_stay(inquiry.request.target, path, asked, chosen):
        start, end = asked.body.place("model")
        found += (asking.PATH, path), (asking.AT, f"{start},{end}")
    if hosts := chosen.hosts:
        found.append((asking.HOST, hosts))
    if names:
        found.append((asking.NAMES, asking.encode_names(tuple(names.items()))))
    if tasks:
        found.append((asking.TASKS, ",".join(tasks)))
    return tuple(found)


def _may_stay(target: str, path: str, asked: Asked, chosen: Chosen) -> bool:
    """Whether each attempt is what the client sent, as far as path and relays go."""
    before = None
    for attempt, _, _ in chosen.attempts:
        if attempt is not before:  # mostly it is one for all
            before = attempt
            if is_relayed(asked, attempt) or attempt.pool.options.base + path != target:
                return False
    return True


@lru_cache(maxsize=4096)
def _what(operation: Operation, model: str, *, stream: bool) -> tuple[tuple[str, str], ...]:
    return (
        (asking.OPERATION, operation.value),
        (asking.MODEL, quote(model, _PLAIN)),
        (asking.STREAM, "1" if stream else "0"),
    )
