"""Pools of many instances, put together."""

from typing import Any

from marchproxy.contract.pb import types_pb2
from marchproxy.manager.watching.counters import Served
from marchproxy.manager.watching.findings import PartFinding
from marchproxy.manager.watching.pools import Pools, merged
from marchproxy.manager.watching.pools_seen import Library, PoolsSeen, read_pools
from marchproxy.manager.watching.view import Rates
from marchproxy.model.module import HealthStatus

OK, BAD = types_pb2.HEALTH_STATUS_HEALTHY, types_pb2.HEALTH_STATUS_UNHEALTHY


def endpoint(address: str, health: Any = OK, active: int = 0) -> types_pb2.BackendEndpoint:
    return types_pb2.BackendEndpoint(address=address, health_status=health, active_requests=active)


def pool(name: str, *endpoints: types_pb2.BackendEndpoint, **fields: Any) -> types_pb2.BackendPool:
    return types_pb2.BackendPool(name=name, endpoints=endpoints, **fields)


def seen(*pools: types_pb2.BackendPool) -> PoolsSeen:
    return read_pools(PoolsSeen(), pools, Library())


def test_one_is_as_it_says() -> None:
    found = merged({"alb-1": seen(pool("blue", endpoint("a", BAD, 2), endpoint("b")), pool("empty"))})
    blue = found["blue"]
    assert (blue.version, blue.sound, len(blue.endpoints), blue.instances) == ("v1", 1, 2, ("alb-1",))
    assert blue.endpoints[0].active_requests == 2
    assert found["empty"].sound == 0


def test_the_worst_health_counts_and_requests_add_up() -> None:
    found = merged(
        {
            "alb-1": seen(pool("blue", endpoint("a", OK, 1), endpoint("b"))),
            "alb-2": seen(pool("blue", endpoint("a", BAD, 2), endpoint("b"), trouble="no name")),
            "alb-3": seen(pool("blue", endpoint("a"), endpoint("b", OK, 5))),
        }
    )["blue"]
    assert [(one.address, one.health, one.active_requests) for one in found.endpoints] == [
        ("a", HealthStatus.UNHEALTHY, 3),
        ("b", HealthStatus.HEALTHY, 5),
    ]
    assert found.trouble == "no name"
    assert found.instances == ("alb-1", "alb-2", "alb-3")


def test_instances_may_have_other_pools_and_find_other_endpoints() -> None:
    discovered = pool("blue", found=[endpoint("10.0.0.2:80")])
    found = merged(
        {"alb-1": seen(pool("blue", endpoint("a"))), "alb-2": seen(discovered, pool("db", endpoint("d")))}
    )
    assert list(found) == ["blue", "db"]
    assert [(one.address, one.found) for one in found["blue"].endpoints] == [
        ("a", False),
        ("10.0.0.2:80", True),
    ]
    assert found["blue"].instances == ("alb-1", "alb-2")


def test_what_is_as_it_was_is_the_same_object() -> None:
    library, first = Library(), pool("blue", endpoint("a"))
    before = read_pools(PoolsSeen(), [first, pool("green", endpoint("b"))], library)
    assert read_pools(before, [first, pool("green", endpoint("b"))], library) is before
    after = read_pools(before, [first, pool("green", endpoint("b", BAD))], library)
    assert after.pools["blue"] is before.pools["blue"]
    assert after.pools["green"].sound == 0
    assert after.notable == {"green"}
    assert read_pools(PoolsSeen(), [first], library).pools["blue"] is before.pools["blue"]


def test_a_library_is_bounded() -> None:
    library = Library(most=2)
    for number in range(5):
        read_pools(PoolsSeen(), [pool(f"p{number}")], library)
    assert len(library._known) <= 2


def test_what_is_served_is_new_at_each_look() -> None:
    pools, told = Pools(), seen(pool("blue", endpoint("a")), pool("green", endpoint("b")))

    def parts(**rates: float) -> dict[str, PartFinding]:
        by_pool = {name: Rates(rate) for name, rate in rates.items()}
        return {"alb-1": PartFinding(pools=told, served=Served(pools=by_pool))}

    assert pools.of(parts(blue=2.0, unknown=9.0))["blue"].stats.requests == 2.0
    idle = pools.of(parts())
    assert idle["blue"].stats == Rates()
    fresh = {"alb-1": PartFinding(pools=seen(pool("red")))}
    assert list(pools.of(fresh, anew=False)) == ["blue", "green"]
    assert list(pools.of(fresh)) == ["red"]
