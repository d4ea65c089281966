from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from marchproxy.model.autoscaling import Observation
from marchproxy.model.module import HealthStatus, ModuleInstance, ModuleType
from marchproxy.nlb.rules.scaling import counted, observe, to_ask
from marchproxy.nlb.state.member import Member, Moment, Standing, Stats

START = datetime(2030, 1, 1, tzinfo=UTC)


def member(name, *, heard=True, health=HealthStatus.HEALTHY, standing=Standing.ACTIVE, **stats):
    instance = ModuleInstance(name, ModuleType.ALB, f"{name}:1", health=health, current_connections=7)
    last = Moment(1.0, START + timedelta(seconds=heard))
    return Member(instance, f"r-{name}", START, last, standing, Stats(**stats))


def test_only_members_of_the_type_that_stay_are_counted():
    other = member("d")
    members = [
        member("a"),
        member("starts", health=HealthStatus.STARTING),
        member("missing", standing=Standing.MISSING),
        member("leaving", standing=Standing.LEAVING),
        member("stopping", health=HealthStatus.STOPPING),
        replace(other, instance=replace(other.instance, module_type=ModuleType.DBLB)),
    ]
    assert [m.instance.instance_id for m in counted(members, ModuleType.ALB)] == ["a", "starts", "missing"]


@pytest.mark.parametrize(
    ("seen", "before", "expected"),
    [
        (member("a", heard=False), {}, Observation()),
        (member("a", standing=Standing.MISSING), {}, Observation(ready=False)),
        (member("a", standing=Standing.PROVISIONAL), {}, Observation()),
        (
            member("a", cpu_usage_percent=50.0, memory_usage_mb=9.0, avg_latency_ms=3.0),
            {},
            Observation(cpu_percent=50.0, memory_mb=9.0, connections=7.0, latency_ms=3.0),
        ),
    ],
)
def test_what_is_not_heard_is_not_known(seen, before, expected):
    assert observe([seen], before) == [expected]


@pytest.mark.parametrize(
    ("total", "failed", "percent"),
    [(200, 15, 5.0), (100, 10, None), (200, 10, 0.0), (5, 5, None)],  # the last has started anew
)
def test_errors_are_those_since_the_last_look(total, failed, percent):
    before = {"r-a": Stats(total_requests=100, failed_requests=10)}
    (seen,) = observe([member("a", total_requests=total, failed_requests=failed)], before)
    assert seen.error_percent == percent


@pytest.mark.parametrize(
    ("names", "target", "refused", "expected"),
    [
        (["a"], 3, {}, [("a", 3)]),
        (["a", "b"], 3, {}, [("a", 2), ("b", 2)]),
        (["a", "a.2"], 3, {"r-a.2": "no launcher"}, [("a", 3), ("a.2", 2)]),
        (["a", "b"], 3, {"r-a": "no launcher"}, [("b", 2), ("a", 2)]),
        (["a", "b", "b.2"], 2, {}, [("b", 1)]),  # the others have nobody to drain
        (["a", "a.2", "b", "b.2", "b.3"], 4, {}, [("b", 2), ("a", 1)]),
        (["a", "b"], 1, {}, []),
        (["a1", "a1.2", "a10"], 4, {"r-a1.2": "x"}, [("a1", 3), ("a10", 2), ("a1.2", 2)]),
    ],
)
def test_whom_to_ask(names, target, refused, expected):
    asked = to_ask([member(name) for name in names], target, refused)
    assert [(asking.member.instance.instance_id, asking.count) for asking in asked] == expected


def test_an_instance_that_takes_no_traffic_is_not_asked():
    members = [member("a", health=HealthStatus.UNHEALTHY), member("b")]
    assert [asking.member.instance.instance_id for asking in to_ask(members, 3, {})] == ["b"]
