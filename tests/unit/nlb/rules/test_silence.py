"""Who is believed to be gone when whole types of modules fall silent."""

from datetime import UTC, datetime

import pytest

from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance, ModuleType
from marchproxy.nlb.rules.silence import Echo, suspects, weigh
from marchproxy.nlb.state.member import Member, Moment, Standing
from marchproxy.nlb.state.registry import Patience, Registry

DAY = datetime(2030, 1, 1, tzinfo=UTC)
NOW = Moment(1000.0, DAY)
PATIENCE = Patience(interval=10.0, missed_unhealthy=3, missed_removed=6)
A, S, R = Echo.ANSWERED, Echo.SILENT, Echo.REFUSED


def member(name, silent, standing=Standing.ACTIVE, health=HealthStatus.HEALTHY):
    """`silent` for so many seconds; its first letter tells the type."""
    kind = ModuleType.ALB if name.startswith("a") else ModuleType.DBLB
    instance = ModuleInstance(InstanceId(name), kind, f"{name}:1", health=health)
    return Member(instance, f"r-{name}", DAY, Moment(NOW.monotonic - silent, DAY), standing)


def registry(*members):
    return Registry({member.instance.instance_id: member for member in members})


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([member("a1", 29), member("a2", 25)], []),
        ([member("a1", 30), member("a2", 9)], []),
        ([member("a1", 30), member("a2", 14.9)], []),
        ([member("a1", 30), member("a2", 21)], ["a1"]),  # a2 was due a while ago, too
        ([member("a1", 31), member("a2", 90)], ["a1", "a2"]),
        ([member("a1", 31), member("d1", 1)], ["a1"]),
        ([member("a1", 31), member("a2", 1, Standing.LEAVING)], ["a1"]),
        ([member("a1", 31), member("a2", 1, health=HealthStatus.UNHEALTHY)], ["a1"]),
        ([member("a1", 31), member("a2", 1, Standing.PROVISIONAL)], ["a1"]),
        ([member("a1", 31, Standing.MISSING)], []),  # judged already
        ([member("a1", 31, Standing.LEAVING)], []),
    ],
)
def test_suspects_are_the_last_of_their_type(members, expected):
    assert [m.instance.instance_id for m in suspects(registry(*members), NOW, PATIENCE)] == expected


@pytest.mark.parametrize(
    ("members", "echoes", "kept", "cut_off"),
    [
        ([("a1", 31)], {}, ["a1"], False),
        ([("a1", 31)], {"a1": A}, ["a1"], False),
        ([("a1", 31)], {"a1": R}, [], False),
        ([("a1", 31)], {"a1": S}, ["a1"], True),
        ([("a1", 31), ("d1", 1)], {"a1": S}, [], False),
        ([("a1", 31), ("d1", 31)], {"a1": S, "d1": S}, ["a1", "d1"], True),
        ([("a1", 31), ("d1", 31)], {"a1": S, "d1": R}, [], False),
        ([("a1", 31), ("d1", 31)], {"a1": S, "d1": A}, ["d1"], False),
        ([("a1", 31), ("d1", 31)], {"a1": S}, ["a1", "d1"], True),
        ([("a1", 31), ("a2", 21), ("d1", 25)], {"a1": S}, ["a1"], True),
        ([("a1", 29)], {}, [], False),
        ([("a1", 500)], {"a1": S}, ["a1"], True),  # for as long as it takes
    ],
    ids=[
        "not probed yet",
        "it answers",
        "nobody listens there",
        "alone in the world",
        "another type is heard",
        "nobody of any type",
        "a host that answers is not out of reach",
        "one answers, so the other is gone",
        "the second is yet to be probed",
        "the others are soon overdue",
        "not overdue",
        "long ago",
    ],
)
def test_who_keeps_its_traffic(members, echoes, kept, cut_off):
    known = {f"r-{name}": echo for name, echo in echoes.items()}
    found = weigh(registry(*(member(*each) for each in members)), known, NOW, PATIENCE)
    assert sorted(found.reprieved) == kept
    assert found.cut_off is cut_off


@pytest.mark.parametrize(("missed", "punctual", "late"), [(1, 9.9, 10.0), (2, 9.9, 10.0), (5, 34.9, 35.0)])
def test_who_counts_as_heard_follows_the_patience(missed, punctual, late):
    patience = Patience(10.0, missed, missed + 3)
    overdue = member("a1", 10.0 * missed)
    assert suspects(registry(overdue, member("a2", punctual)), NOW, patience) == []
    assert suspects(registry(overdue, member("a2", late)), NOW, patience) != []
