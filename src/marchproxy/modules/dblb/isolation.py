"""Isolation: a state of which some files are of no use is served without the routes that need these. Pure."""

from collections.abc import Iterable

from marchproxy.model.problem import Problem
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.plan import is_own
from marchproxy.modules.reception import isolation


def without(state: DesiredState, problems: Iterable[Problem]) -> DesiredState:
    """The state without the own routes that a problem is about, or the pool or way to authenticate that they name."""
    return isolation.without(state, problems, lambda route: route.authentication if is_own(route) else None)
