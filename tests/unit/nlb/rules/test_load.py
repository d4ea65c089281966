"""How busy instances are, and weights that favour the idle."""

from datetime import UTC, datetime

import pytest

from marchproxy.model.module import InstanceId, ModuleInstance, ModuleType
from marchproxy.nlb.rules.load import balance_score, favour_idle, measure
from marchproxy.nlb.state.member import Member, Moment, Stats

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def instance(name: str, weight: int = 100, **more) -> ModuleInstance:
    return ModuleInstance(InstanceId(name), ModuleType.ALB, "h:1", traffic_weight=weight, **more)


def member(name: str, cpu: float = 0, **more) -> Member:
    return Member(instance(name, **more), "r", NOW, Moment(0, NOW), stats=Stats(cpu_usage_percent=cpu))


@pytest.mark.parametrize(
    ("counts", "score"),
    [([], 1.0), ([5], 1.0), ([0, 0], 1.0), ([7, 7, 7], 1.0), ([1, 3], 0.5), ([0, 0, 0, 9], 0.0)],
)
def test_balance_score(counts, score):
    assert balance_score(counts) == pytest.approx(score)


@pytest.mark.parametrize(
    ("what", "score"),
    [
        (member("a", max_connections=100), 0.2),
        (member("a", max_connections=10), 1.0),
        (member("a", cpu=70, max_connections=100), 0.7),
        (member("a", cpu=300), 1.0),
    ],
    ids=["share of its limit", "over its limit", "processor", "several cores"],
)
def test_load_score(what, score):
    (load,) = measure([what], {InstanceId("a"): 20})
    assert load.score == pytest.approx(score)


def test_without_limits_the_busiest_peer_is_the_measure():
    loads = measure([member("a"), member("b", current_connections=5)], {InstanceId("a"): 10})
    assert [load.score for load in loads] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("instances", "connections", "weights"),
    [
        ([instance("a"), instance("b")], {"a": 9, "b": 9}, {"a": 100, "b": 100}),
        ([instance("a"), instance("b")], {"a": 29, "b": 9}, {"a": 33, "b": 100}),
        ([instance("a"), instance("b")], {"a": 999, "b": 0}, {"a": 13, "b": 100}),
        ([instance("a", 50), instance("b", 100)], {"a": 9, "b": 19}, {"a": 50, "b": 100}),
        ([instance("a", 0), instance("b", 100)], {"a": 9}, {"b": 100}),
        ([instance("a", 0)], {}, {}),
    ],
    ids=["even", "a third", "bounded", "as configured", "weight 0 keeps it", "nobody"],
)
def test_favour_idle(instances, connections, weights):
    found = favour_idle(instances, connections)
    assert found.keys() == weights.keys()
    most = max(found.values(), default=1)
    assert {key: round(100 * weight / most) for key, weight in found.items()} == weights
