"""Splits: where a route divides its requests among pools. Shares are whole percent, and those of a split add up to 100.

A route has one, among its backends; one for language models has one for each tier of each of its models.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from marchproxy.model.ai import AiRoute, Model, Prefer
from marchproxy.model.route import BackendRef, Route
from marchproxy.model.weights import split


def splits_of(route: Route) -> tuple[tuple[BackendRef, ...], ...]:
    """The splits of a route, in an order of their own; models that prefer the cheapest or fastest target have none."""
    if route.ai is None:
        return (route.backends,) if route.backends else ()
    return tuple(
        tuple(BackendRef(model.targets[at].pool, model.targets[at].weight) for at in places)
        for model in route.ai.models
        for places in _tiers(model)
    )


def with_splits(route: Route, splits: Sequence[Sequence[BackendRef]]) -> Route:
    """The route with these in place of its own, in the order of `splits_of`, and of the same pools."""
    if route.ai is None:
        return replace(route, backends=tuple(splits[0])) if splits else route
    left = iter(splits)
    models = tuple(
        _weighed(
            model,
            {at: ref.weight for places in _tiers(model) for at, ref in zip(places, next(left), strict=True)},
        )
        for model in route.ai.models
    )
    return replace(route, ai=replace(route.ai, models=models))


def without_targets(ai: AiRoute, pools: Collection[str]) -> AiRoute:
    """Without the targets that these pools are; those that are left of a tier share it in their present proportion."""
    models = []
    for model in ai.models:
        targets = tuple(target for target in model.targets if target.pool not in pools)
        rest = replace(model, targets=targets)
        weights: dict[int, int] = {}
        for places in _tiers(rest):
            weights |= dict(zip(places, split(100, [targets[at].weight for at in places]), strict=True))
        models.append(_weighed(rest, weights))
    return replace(ai, models=tuple(models))


def _tiers(model: Model) -> Iterator[list[int]]:
    """The places of a model's targets, by tier, where weights count."""
    if model.prefer is not Prefer.WEIGHT:
        return
    for tier in sorted({target.tier for target in model.targets}):
        yield [at for at, target in enumerate(model.targets) if target.tier == tier]


def _weighed(model: Model, weights: Mapping[int, int]) -> Model:
    targets = (
        replace(target, weight=weights.get(at, target.weight)) for at, target in enumerate(model.targets)
    )
    return replace(model, targets=tuple(targets))
