"""Checks of a whole state: each section, then names that lead nowhere."""

from collections.abc import Iterator, Sequence

from marchproxy.model.ai import AiPool
from marchproxy.model.checks.allowances import check_allowances, check_prices
from marchproxy.model.checks.authentication import check_authentication
from marchproxy.model.checks.guardrails import check_guardrails
from marchproxy.model.checks.limits import check_limits
from marchproxy.model.checks.listeners import check_listeners
from marchproxy.model.checks.pools import check_pools
from marchproxy.model.checks.routes import check_routes
from marchproxy.model.checks.sharing import check_choosing
from marchproxy.model.checks.virtual_keys import check_virtual_keys
from marchproxy.model.module import Protocol
from marchproxy.model.problem import Problem
from marchproxy.model.rules import duplicates, known
from marchproxy.model.scaling import ScalingConfig
from marchproxy.model.state import DesiredState


def check_state(state: DesiredState) -> tuple[Problem, ...]:
    """Every fault of the state: each value by itself, then names that clash or lead nowhere."""
    return (
        *check_listeners(state.listeners),
        *check_routes(state.routes, state.pools),
        *check_pools(state.pools),
        *check_limits(state.rate_limits, state.routes, state.listeners),
        *check_scaling(state.scaling),
        *check_authentication(state.authentication, state.routes, state.pools),
        *_unknown_listeners(state),
        *check_choosing(state.listeners, state.routes),
        *check_guardrails(state.guardrails, state.routes),
        *check_virtual_keys(state.virtual_keys),
        *check_allowances(state.allowances),
        *check_prices(state.prices),
    )


def check_change(before: DesiredState, after: DesiredState) -> tuple[Problem, ...]:
    """Every fault of `after`, where `before` is sound: what is the same object in both is not looked at again."""
    lost_pools = _footing(before) - _footing(after)
    return (
        *(check_listeners(after.listeners) if after.listeners is not before.listeners else ()),
        *check_routes(after.routes, after.pools, sound=() if lost_pools else before.routes),
        *(check_pools(after.pools) if after.pools is not before.pools else ()),
        *check_limits(after.rate_limits, after.routes, after.listeners),
        *(check_scaling(after.scaling) if after.scaling is not before.scaling else ()),
        *check_authentication(after.authentication, after.routes, after.pools),
        *_unknown_listeners(after),
        *check_choosing(after.listeners, after.routes),
        *check_guardrails(after.guardrails, after.routes),
        *(check_virtual_keys(after.virtual_keys) if after.virtual_keys is not before.virtual_keys else ()),
        *(check_allowances(after.allowances) if after.allowances is not before.allowances else ()),
        *(check_prices(after.prices) if after.prices is not before.prices else ()),
    )


def check_scaling(configs: Sequence[ScalingConfig]) -> Iterator[Problem]:
    """Faults of the numbers of instances."""
    yield from duplicates("scaling", "module", configs, lambda config: config.module_type)
    for index, config in enumerate(configs):
        yield from config.faults(f"scaling[{index}]")


def _footing(state: DesiredState) -> set[tuple[str, Protocol, AiPool | None]]:
    """What routes rest upon of the pools."""
    return {(pool.name, pool.protocol, pool.ai) for pool in state.pools}


def _unknown_listeners(state: DesiredState) -> Iterator[Problem]:
    names = frozenset(listener.name for listener in state.listeners)
    for index, route in enumerate(state.routes):
        for number, name in enumerate(route.listeners):
            if name not in names:
                yield Problem(f"routes[{index}].listeners[{number}]", f'no listener "{name}"{known(names)}')
