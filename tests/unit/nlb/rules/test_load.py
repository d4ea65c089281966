"""How busy instances are, and weights that favour the idle."""

from datetime import UTC, datetime

import pytest

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, ModuleInstance, ModuleType
from marchproxy.model.route import VersionWeight
from marchproxy.nlb.rules.load import alike, balance_score, excess, favour_idle, measure, spread
from marchproxy.nlb.state.member import Member, Moment, Stats

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def instance(name: str, traffic_weight: int = 100, **more) -> ModuleInstance:
    return ModuleInstance(InstanceId(name), ModuleType.ALB, "h:1", traffic_weight=traffic_weight, **more)


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


@pytest.mark.parametrize(
    ("weights", "counts", "closed"),
    [
        ({"a": 100, "b": 100}, {"a": 30, "b": 10}, {"a": 10}),
        ({"a": 100, "b": 100}, {"a": 3, "b": 2}, {}),  # nobody has half a connection
        ({"a": 50, "b": 100}, {"a": 20, "b": 40}, {}),
        ({"a": 50, "b": 100}, {"a": 40, "b": 20}, {"a": 20}),
        ({"a": 0, "b": 100}, {"a": 40, "b": 20}, {}),  # on its way out: its own drain sees to it
        ({"a": 100, "b": 100, "c": 100}, {"a": 9, "b": 9}, {"a": 3, "b": 3}),
        ({}, {}, {}),
    ],
)
def test_excess(weights, counts, closed):
    loads = measure([member(name, traffic_weight=weight) for name, weight in weights.items()], counts)
    assert excess(loads) == closed


def test_only_what_stands_in_for_one_another_is_compared():
    members = [member("a", version="v1"), member("b", version="v1"), member("c", version="v2")]
    loads = measure(members, {"a": 4, "b": 4, "c": 1})
    web = Listener("web", "h", 1)
    canary = Listener("web", "h", 1, version_weights=(VersionWeight("v1", 90), VersionWeight("v2", 10)))
    assert [len(group) for group in alike(loads, [web])] == [3]
    assert [len(group) for group in alike(loads, [canary])] == [2, 1]
    assert spread(alike(loads, [canary])) == 1.0
    assert spread(alike(loads, [web])) == pytest.approx(0.529, abs=0.001)
    assert spread([]) == 1.0
