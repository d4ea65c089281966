"""What an ALB refuses of a pool."""

import pytest

from marchproxy.model.http import Sticky, StickyKind
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, Discovery, Endpoint, UpstreamTls
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.modules.http.pool_rules import pool_faults

NAMED, NUMBERED = (Endpoint("shop.internal:443"),), (Endpoint("10.0.0.1:443"),)


@pytest.mark.parametrize(
    ("endpoints", "tls", "discovery", "paths"),
    [
        (NUMBERED, None, Discovery(), []),
        (NAMED, UpstreamTls(), Discovery(), []),
        (NUMBERED, UpstreamTls(), Discovery(), ["pools[0].tls.server_name"]),
        (NUMBERED, UpstreamTls(server_name="a"), Discovery(), []),
        (NUMBERED, UpstreamTls(insecure=True), Discovery(), []),
        ((), UpstreamTls(), Discovery(file="/f"), ["pools[0].tls.server_name"]),
        ((), UpstreamTls(), Discovery(srv="_a._tcp.b"), []),
        (NAMED, None, Discovery(srv="_a._tcp.b"), ["pools[0].endpoints[0].address"]),
        (NAMED, None, Discovery(file="/f"), ["pools[0].endpoints[0].address"]),
        (NAMED, None, Discovery(dns="b:80"), []),
    ],
)
def test_faults(
    endpoints: tuple[Endpoint, ...], tls: UpstreamTls | None, discovery: Discovery, paths: list[str]
) -> None:
    pool = BackendPool(PoolName("p"), endpoints=endpoints, tls=tls, discovery=discovery)
    assert [problem.path for problem in pool_faults([pool])] == paths


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        (StickyKind.COOKIE, []),
        (StickyKind.HEADER, ["pools[0].slow_start"]),
        (StickyKind.SOURCE, ["pools[0].slow_start"]),
    ],
)
def test_slow_start_and_sessions(kind: StickyKind, paths: list[str]) -> None:
    pool = BackendPool(PoolName("p"), slow_start=5)
    route = Route(RouteId("r"), backends=(BackendRef(pool.name),), sticky=Sticky(kind, "x"))
    assert [problem.path for problem in pool_faults([pool], [route])] == paths
