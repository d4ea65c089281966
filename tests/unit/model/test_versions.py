"""Blue/green as a function of the desired state."""

import pytest

from marchproxy.model.ai import AiPool, AiRoute, Model, ModelTarget, Prefer
from marchproxy.model.module import PoolName, Version
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.model.versions import (
    current_split,
    set_backend_weights,
    set_version_weight,
)
from marchproxy.model.weights import Split


def make_state(**routes: dict[str, int]) -> DesiredState:
    """Routes by name, each with the weights of its pools; pool `x1`, `y1` have version v1, `x2` version v2."""
    names = {pool for weights in routes.values() for pool in weights}
    return DesiredState(
        routes=tuple(
            Route(RouteId(name), backends=tuple(BackendRef(PoolName(p), w) for p, w in weights.items()))
            for name, weights in routes.items()
        ),
        pools=tuple(BackendPool(PoolName(name), Version(f"v{name[-1]}")) for name in sorted(names)),
    )


def weights(state: DesiredState) -> dict[str, list[int]]:
    return {route.route_id: [backend.weight for backend in route.backends] for route in state.routes}


SHOP = {"x1": 80, "y1": 20, "x2": 0}
STATE = make_state(shop=SHOP, api={"x1": 100, "x2": 0}, plain={"x1": 100})


@pytest.mark.parametrize(
    ("state", "route", "shares"),
    [
        (DesiredState(), "", ()),
        (make_state(a={}), "a", ()),
        (make_state(a={"x1": 100}), "", (("v1", 100),)),
        (make_state(a={"x1": 30, "x2": 70}), "a", (("v2", 70), ("v1", 30))),
        # the mean over the routes that have several versions; the single-version route does not count
        (make_state(a={"x1": 50, "x2": 50}, b={"x1": 100, "x2": 0}, c={"x1": 100}), "", (("v1", 75), ("v2", 25))),
        (make_state(a={"x1": 34, "x2": 33, "x3": 33}), "", (("v1", 34), ("v2", 33), ("v3", 33))),
    ],
)  # fmt: skip
def test_current_split(state: DesiredState, route: str, shares: object) -> None:
    assert current_split(state, route).shares == shares


def test_split_reads() -> None:
    split = Split(((Version("v2"), 70), (Version("v1"), 30)))
    assert (split.active, split.canary, split.share(Version("v1")), split.share(Version("v9"))) == (
        "v2",
        "v1",
        30,
        0,
    )
    assert (Split().active, Split().canary) == ("", "")


@pytest.mark.parametrize(
    ("version", "percent", "route", "expected"),
    [
        ("v2", 10, "", {"shop": [72, 18, 10], "api": [90, 10], "plain": [100]}),
        ("v2", 10, "api", {"shop": [80, 20, 0], "api": [90, 10], "plain": [100]}),
        ("v2", 100, "", {"shop": [0, 0, 100], "api": [0, 100], "plain": [100]}),
        ("v1", 100, "", {"shop": [80, 20, 0], "api": [100, 0], "plain": [100]}),
        ("v1", 0, "shop", {"shop": [0, 0, 100], "api": [100, 0], "plain": [100]}),
    ],
)
def test_set_version_weight(version: str, percent: int, route: str, expected: object) -> None:
    assert weights(set_version_weight(STATE, Version(version), percent, route)) == expected


def test_everything_for_the_only_version_changes_nothing() -> None:
    state = make_state(plain={"x1": 100})
    assert set_version_weight(state, Version("v1"), 100) == state


@pytest.mark.parametrize(
    ("version", "percent", "route", "code", "words"),
    [
        ("v2", -1, "", RefusalCode.INVALID_ARGUMENT, "weight: -1 is not between 0 and 100"),
        ("v2", 101, "shop", RefusalCode.INVALID_ARGUMENT, "weight: 101"),
        ("v9", 10, "", RefusalCode.NOT_FOUND, 'version: "v9" is in no route; versions of the pools: v1, v2'),
        ("v9", 10, "shop", RefusalCode.NOT_FOUND, 'no backend has version "v9"'),
        ("v2", 10, "nowhere", RefusalCode.NOT_FOUND, 'route_id: no route "nowhere"'),
        ("v1", 50, "plain", RefusalCode.INVALID_ARGUMENT, "nothing can take the other 50 %"),
    ],
)
def test_refused_weight(version: str, percent: int, route: str, code: RefusalCode, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        set_version_weight(STATE, Version(version), percent, route)
    assert refused.value.code is code


def test_the_only_version_cannot_give_anything_away() -> None:
    with pytest.raises(Refused, match="only version of its routes"):
        set_version_weight(make_state(plain={"x1": 100}), Version("v1"), 50)


def test_set_backend_weights_keeps_those_not_named() -> None:
    after = set_backend_weights(
        STATE, "shop", [BackendRef(PoolName("x1"), 30), BackendRef(PoolName("x2"), 50)]
    )
    assert weights(after) == {"shop": [30, 20, 50], "api": [100, 0], "plain": [100]}


@pytest.mark.parametrize(
    ("route", "pool", "words"),
    [
        ("", "x1", "route_id: weights per backend need the route"),
        ("nowhere", "x1", 'no route "nowhere"'),
        ("api", "y1", r'weights\[0\].pool: route "api" has no backend "y1"; it has x1, x2'),
    ],
)
def test_refused_backend_weights(route: str, pool: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        set_backend_weights(STATE, route, [BackendRef(PoolName(pool), 100)])


def targets(**weights: int) -> tuple[ModelTarget, ...]:
    """`x1=90`: pool x1, of version v1, in the first tier; `x1_b` is the same pool in the second."""
    return tuple(
        ModelTarget(PoolName(name.removesuffix("_b")), weight, int(name.endswith("_b")))
        for name, weight in weights.items()
    )


def of_models(**models: tuple[ModelTarget, ...]) -> DesiredState:
    """A route `llm` with these models; those whose name begins with `cheap` prefer the cheapest."""
    found = tuple(
        Model(name, its, prefer=Prefer.COST if name.startswith("cheap") else Prefer.WEIGHT)
        for name, its in models.items()
    )
    names = {target.pool for its in models.values() for target in its}
    return DesiredState(
        routes=(Route(RouteId("llm"), ai=AiRoute(found)),),
        pools=tuple(BackendPool(name, Version(f"v{name[-1]}"), ai=AiPool()) for name in sorted(names)),
    )


def target_weights(state: DesiredState) -> list[list[int]]:
    (route,) = state.routes
    assert route.ai is not None
    return [[target.weight for target in model.targets] for model in route.ai.models]


MODELS = of_models(
    fast=targets(x1=90, x2=10, y1_b=100),
    slow=targets(y1=100, x2=0, x1_b=50, y1_b=50),
    cheap=targets(x1=100, x2=100),
    only=targets(x1=100),
)


@pytest.mark.parametrize("route", ["", "llm"])
@pytest.mark.parametrize(
    ("version", "percent", "weights"),
    [
        # only where the version stands beside another in a tier, and weights count
        ("v2", 30, [[70, 30, 100], [70, 30, 50, 50], [100, 100], [100]]),
        ("v1", 0, [[0, 100, 100], [0, 100, 50, 50], [100, 100], [100]]),
    ],
)
def test_versions_of_targets(version: str, percent: int, weights: object, route: str) -> None:
    after = set_version_weight(MODELS, Version(version), percent, route)
    assert target_weights(after) == weights
    assert current_split(after, route).share(Version(version)) == percent


def test_one_pool_may_stand_twice_in_a_tier() -> None:
    twice = (
        ModelTarget(PoolName("x1"), 60, model="small"),
        ModelTarget(PoolName("x1"), 40, model="large"),
        ModelTarget(PoolName("x2"), 0),
    )
    assert target_weights(set_version_weight(of_models(m=twice), Version("v2"), 50)) == [[30, 20, 50]]


def test_versions_of_models_that_cannot_be_shifted() -> None:
    alone = of_models(fast=targets(x1=100, x2_b=100))
    with pytest.raises(Refused, match="only version of its routes"):
        set_version_weight(alone, Version("v2"), 50)
    with pytest.raises(Refused, match="nothing can take the other 50 %"):
        set_version_weight(alone, Version("v2"), 50, "llm")
    with pytest.raises(Refused, match='no backend has version "v9"; known: v1, v2'):
        set_version_weight(alone, Version("v9"), 50, "llm")
    assert set_version_weight(alone, Version("v2"), 100, "llm") == alone


def test_weights_of_targets_by_pool() -> None:
    state = of_models(fast=targets(x1=90, x2=10, y1_b=100), slow=targets(x1=100, x2=0))
    after = set_backend_weights(
        state, "llm", [BackendRef(PoolName("x1"), 40), BackendRef(PoolName("x2"), 60)]
    )
    assert target_weights(after) == [[40, 60, 100], [40, 60]]
    with pytest.raises(Refused, match='has no backend "z"; it has x1, x2, y1'):
        set_backend_weights(state, "llm", [BackendRef(PoolName("z"), 100)])
