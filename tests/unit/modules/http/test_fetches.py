"""Keys of tokens that Envoy fetches: when their source is in trouble."""

import pytest

from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import HealthStatus
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.fetches import KeyFetches

FETCHED = Authentication(
    "corp", AuthenticationKind.JWT, jwks_url="https://id.example/keys", jwks_pool="identity"
)
LOCAL = Authentication("local", AuthenticationKind.JWT, "/jwks")
FINE = EngineHealth(HealthStatus.HEALTHY, "serving", {"envoy": "ok"})


def counted(failed: int, succeeded: int) -> EnvoyStats:
    prefix = "http.alb.jwt_authn.tokens.jwks_fetch_"
    return EnvoyStats(values={f"{prefix}failed": failed, f"{prefix}success": succeeded})


@pytest.mark.parametrize(
    ("looks", "failing"),
    [
        ([], False),
        ([(0, 1)], False),
        ([(1, 0)], True),
        ([(1, 1)], True),  # one of two sources, as far as can be told
        ([(1, 0), (1, 0)], True),  # nothing new
        ([(1, 0), (1, 1)], False),
        ([(0, 1), (3, 1)], True),
        ([(3, 1), (0, 1)], False),  # another Envoy, which fetched them
        ([(3, 1), (1, 0)], True),
    ],
)
def test_step(looks: list[tuple[int, int]], failing: bool) -> None:
    fetches = KeyFetches().of([FETCHED, LOCAL])
    for failed, succeeded in looks:
        fetches = fetches.step(counted(failed, succeeded))
    assert fetches.failing is failing
    assert (fetches.judge(FINE) == FINE) is not failing


def test_health_says_whom_envoy_asks() -> None:
    health = KeyFetches().of([FETCHED]).step(counted(1, 0)).judge(FINE)
    assert health.status is HealthStatus.DEGRADED
    assert "https://id.example/keys (pool identity)" in health.checks["tokens"]


def test_a_way_that_goes_takes_its_trouble_along() -> None:
    fetches = KeyFetches().of([FETCHED]).step(counted(1, 0))
    assert fetches.of([FETCHED]).failing
    assert not fetches.of([LOCAL]).failing
    assert not fetches.of([LOCAL]).step(counted(2, 0)).failing
