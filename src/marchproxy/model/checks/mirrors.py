"""Checks of mirrors: pools that get copies of requests, or of Redis' commands."""

from collections.abc import Iterator

from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rules import duplicates, known


def check_mirrors(route: Route, path: str, pool_names: frozenset[str]) -> Iterator[Problem]:
    """Faults of a route's mirrors."""
    for number, mirror in enumerate(route.mirrors):
        if mirror.pool not in pool_names:
            yield Problem(f"{path}[{number}].pool", f'no pool "{mirror.pool}"{known(pool_names)}')
        if not 0 <= mirror.percent <= 100:
            yield Problem(f"{path}[{number}].percent", f"{mirror.percent} is not between 0 and 100")
    yield from duplicates(path, "pool", route.mirrors, lambda mirror: mirror.pool)
