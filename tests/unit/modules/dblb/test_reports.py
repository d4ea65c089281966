"""Servers in words, and the health that follows."""

import pytest

from marchproxy.model.module import HealthStatus
from marchproxy.modules.dblb.reports import judge, pool_trouble, pool_words
from marchproxy.modules.dblb.service import ServerReport

PRIMARY = ServerReport("shop", "a:1", "primary", 0.0012)
REPLICA = ServerReport("shop", "b:1", "replica", 0.0008, 0.25)
DOWN = ServerReport("shop", "c:1", "unknown", fault="connection refused")
ALONE = ServerReport("cache", "d:1", "unknown", 0.002)
OK = {"worker:0": "ok", "worker:1": "ok", "files": "ok"}


def test_a_pool_in_words():
    assert pool_words([PRIMARY, REPLICA, DOWN]) == (
        "2 of 3 servers answer: a:1 primary, 1.2 ms; b:1 replica, 0.8 ms, 0.2 s behind; c:1 connection refused"
    )
    assert pool_words([ALONE]) == "1 of 1 servers answer: d:1, 2.0 ms"
    assert pool_words([DOWN] * 12).endswith("; and 2 more")


@pytest.mark.parametrize(
    ("servers", "trouble"),
    [
        ([], ""),
        ([PRIMARY, DOWN], ""),
        ([ALONE], ""),
        ([DOWN], "no server answers: connection refused"),
        ([REPLICA, DOWN], "no server is primary: nothing can be written"),
    ],
)
def test_what_is_wrong_with_a_pool(servers, trouble):
    assert pool_trouble(servers) == trouble


@pytest.mark.parametrize(
    ("checks", "servers", "status", "message"),
    [
        (OK, [PRIMARY, REPLICA], HealthStatus.HEALTHY, "serving"),
        (OK, [], HealthStatus.HEALTHY, "serving"),
        (OK, [PRIMARY, DOWN], HealthStatus.HEALTHY, "serving"),
        (OK, [DOWN], HealthStatus.DEGRADED, "pool shop: no server answers: connection refused"),
        ({**OK, "worker:1": "is gone"}, [PRIMARY], HealthStatus.DEGRADED, "worker:1: is gone"),
        ({**OK, "files": "/f: gone"}, [], HealthStatus.DEGRADED, "files: /f: gone"),
        ({"worker:0": "is gone", "files": "ok"}, [PRIMARY], HealthStatus.UNHEALTHY, "worker:0: is gone"),
    ],
)
def test_health(checks, servers, status, message):
    found = judge(checks, servers)
    assert (found.status, found.message) == (status, message)
    assert found.checks == {**checks, **({"pool:shop": pool_words(servers)} if servers else {})}
