"""The registry over virtual time: who may register, who is heard, who is removed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    Protocol,
    TrafficEndpoint,
)
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.nlb.state.member import Member, Moment, Standing, Stats, Trouble
from marchproxy.nlb.state.registry import (
    MAX_MEMBERS,
    Beat,
    Change,
    Changed,
    Patience,
    Registry,
    heartbeat,
    leave,
    note_trouble,
    register,
    remove,
    restore,
    tick,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
PATIENCE = Patience(interval=10, missed_unhealthy=3, missed_removed=6)
ALB = ModuleInstance(
    InstanceId("alb-1"),
    ModuleType.ALB,
    "10.0.0.1:50051",
    health=HealthStatus.HEALTHY,
    traffic_endpoints=(TrafficEndpoint("http", Protocol.HTTP, "10.0.0.1:80"),),
)


def at(seconds: float) -> Moment:
    return Moment(seconds, START + timedelta(seconds=seconds))


def registered(instance: ModuleInstance = ALB, seconds: float = 0) -> Registry:
    return register(Registry(), instance, "first", at(seconds))[0]


def beat(registration: str = "first", health: HealthStatus = HealthStatus.HEALTHY, **more) -> Beat:
    return Beat(ALB.instance_id, registration, health, **more)


def only(registry: Registry) -> Member:
    (member,) = registry.members.values()
    return member


@pytest.mark.parametrize(
    ("silence", "standing", "health"),
    [
        (29.9, Standing.ACTIVE, HealthStatus.HEALTHY),
        (30.0, Standing.MISSING, HealthStatus.UNHEALTHY),
        (59.9, Standing.MISSING, HealthStatus.UNHEALTHY),
    ],
)
def test_silence_costs_the_traffic(silence, standing, health):
    registry, _ = tick(registered(), at(silence), PATIENCE)
    assert only(registry).standing is standing
    assert only(registry).effective.health is health


def test_longer_silence_costs_the_place():
    registry, changes = tick(registered(), at(60), PATIENCE)
    assert registry.members == {}
    assert [change.change for change in changes] == [Change.REMOVED]


def test_silence_is_reported_once():
    registry, first = tick(registered(), at(31), PATIENCE)
    same, second = tick(registry, at(32), PATIENCE)
    assert ([change.change for change in first], second) == ([Change.MISSING], ())
    assert same is registry


def test_a_heartbeat_brings_the_traffic_back():
    silent, _ = tick(registered(), at(31), PATIENCE)
    registry, changes = heartbeat(silent, beat(), at(33))
    assert [change.change for change in changes] == [Change.RETURNED]
    assert only(registry).effective.health is HealthStatus.HEALTHY
    assert tick(registry, at(62), PATIENCE)[1] == ()  # the timer began anew


def test_a_heartbeat_that_only_counts_changes_nothing_of_note():
    beating = beat(stats=Stats(total_requests=50), connections=7, config_checksum="abc")
    registry, changes = heartbeat(registered(), beating, at(5))
    assert changes == ()
    assert only(registry).instance.current_connections == 7
    assert only(registry).instance.config_checksum == "abc"
    assert only(registry).requests_per_second == 10


def test_a_module_that_restarted_its_counters_has_no_negative_rate():
    registry, _ = heartbeat(registered(), beat(stats=Stats(total_requests=50)), at(5))
    registry, _ = heartbeat(registry, beat(stats=Stats(total_requests=3)), at(10))
    assert only(registry).requests_per_second == 0


def test_its_own_opinion_of_its_health_counts():
    registry, changes = heartbeat(registered(), beat(health=HealthStatus.STOPPING), at(5))
    assert [change.change for change in changes] == [Change.HEALTH]
    assert not only(registry).effective.health.takes_traffic


@pytest.mark.parametrize(
    ("registry", "sender"),
    [
        (Registry(), beat()),
        (registered(), beat("another")),
        (restore([only(registered())], at(0)), beat()),
    ],
    ids=["unknown instance", "unknown registration", "from before a restart"],
)
def test_strangers_are_told_to_register(registry, sender):
    with pytest.raises(Refused) as refused:
        heartbeat(registry, sender, at(1))
    assert refused.value.code is RefusalCode.NOT_FOUND
    assert "register" in refused.value.message


ELSEWHERE = replace(ALB, address="10.0.0.9:50051")


@pytest.mark.parametrize(
    ("registry", "newcomer"),
    [
        (registered(), ALB),
        (tick(registered(), at(31), PATIENCE)[0], ELSEWHERE),
        (registered(replace(ALB, health=HealthStatus.UNHEALTHY)), ELSEWHERE),
        (restore([only(registered())], at(0)), ELSEWHERE),
        (leave(registered(), ALB.instance_id, "first"), ELSEWHERE),
    ],
    ids=["same address", "silent", "unhealthy", "provisional", "leaving"],
)
def test_an_id_may_be_taken_over(registry, newcomer):
    after, changed = register(registry, newcomer, "second", at(40))
    assert changed.change is Change.REPLACED
    assert only(after).registration_id == "second"
    assert only(after).standing is Standing.ACTIVE
    with pytest.raises(Refused):
        heartbeat(after, beat("first"), at(41))


def test_an_id_that_lives_elsewhere_is_defended():
    with pytest.raises(Refused) as refused:
        register(registered(), ELSEWHERE, "second", at(1))
    assert refused.value.code is RefusalCode.ALREADY_EXISTS
    assert ALB.address in refused.value.message
    assert ELSEWHERE.address in refused.value.message


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"instance_id": ""}, "instance.instance_id"),
        ({"module_type": ModuleType.NLB}, "instance.module_type"),
        ({"address": ""}, "instance.address"),
        ({"address": "nowhere"}, "instance.address"),
        ({"version": ""}, "instance.version"),
        ({"max_connections": -1}, "instance.max_connections"),
        ({"current_connections": -1}, "instance.current_connections"),
        ({"traffic_weight": -1}, "instance.traffic_weight"),
        ({"traffic_weight": 101}, "instance.traffic_weight"),
        (
            {"traffic_endpoints": (TrafficEndpoint("a", Protocol.HTTP, "x"),)},
            "instance.traffic_endpoints[0].address",
        ),
        ({"traffic_endpoints": ALB.traffic_endpoints * 2}, "instance.traffic_endpoints[1].name"),
        ({"traffic_endpoints": ALB.traffic_endpoints * 33}, "instance.traffic_endpoints"),
    ],
)
def test_a_faulty_registration_is_refused_with_its_field(change, path):
    with pytest.raises(Refused) as refused:
        register(Registry(), replace(ALB, **change), "first", at(0))
    assert refused.value.code is RefusalCode.INVALID_ARGUMENT
    assert [problem.path for problem in refused.value.problems] == [path]


def test_every_fault_is_reported():
    faulty = replace(ALB, instance_id=InstanceId(""), address="", traffic_weight=-1)
    with pytest.raises(Refused) as refused:
        register(Registry(), faulty, "first", at(0))
    assert len(refused.value.problems) == 3


def test_the_registry_is_bounded():
    crowd = {InstanceId(str(number)): only(registered()) for number in range(MAX_MEMBERS)}
    with pytest.raises(Refused) as refused:
        register(Registry(crowd), ALB, "first", at(0))
    assert refused.value.code is RefusalCode.RESOURCE_EXHAUSTED


def test_leaving_is_out_of_the_plan_but_known_until_removed():
    registry = leave(registered(), ALB.instance_id, "first")
    assert only(registry).effective.health is HealthStatus.STOPPING
    assert tick(registry, at(1000), PATIENCE)[0] is registry  # its drain has a deadline of its own
    assert remove(registry, ALB.instance_id, "first").members == {}


def test_one_that_registered_anew_is_not_removed_by_its_predecessors_drain():
    registry, _ = register(leave(registered(), ALB.instance_id, "first"), ALB, "second", at(1))
    assert remove(registry, ALB.instance_id, "first") is registry


@pytest.mark.parametrize(
    ("instance_id", "registration", "code"),
    [("nobody", "first", RefusalCode.NOT_FOUND), ("alb-1", "wrong", RefusalCode.PERMISSION_DENIED)],
)
def test_leaving_needs_the_right_registration(instance_id, registration, code):
    with pytest.raises(Refused) as refused:
        leave(registered(), InstanceId(instance_id), registration)
    assert refused.value.code is code


def test_a_restored_registry_keeps_everybody_in_the_plan_until_the_timer_ends():
    members = [only(registered()), replace(only(registered(ELSEWHERE)), standing=Standing.LEAVING)]
    registry = restore(members, at(1000))
    assert only(registry).effective.health is HealthStatus.HEALTHY
    assert tick(registry, at(1029), PATIENCE)[0] is registry
    assert only(tick(registry, at(1030), PATIENCE)[0]).standing is Standing.MISSING


def test_the_reprieved_keep_traffic_and_place_however_silent():
    registry, changes = tick(registered(), at(500), PATIENCE, {ALB.instance_id})
    assert changes == ()
    assert only(registry).standing is Standing.ACTIVE
    assert tick(registry, at(501), PATIENCE)[1] == (
        Changed(ALB.instance_id, Change.REMOVED, "50 heartbeats missed"),
    )


@pytest.mark.parametrize(
    ("own", "seen"),
    [
        (HealthStatus.HEALTHY, HealthStatus.DEGRADED),
        (HealthStatus.UNHEALTHY, HealthStatus.UNHEALTHY),
        (HealthStatus.STARTING, HealthStatus.STARTING),
    ],
)
def test_trouble_makes_a_healthy_member_degraded_and_no_other_better(own, seen):
    registry, changes = note_trouble(
        registered(replace(ALB, health=own)), ALB.instance_id, Trouble.CALLS, "silent"
    )
    assert [changed.change for changed in changes] == [Change.TROUBLED]
    assert only(registry).effective.health is seen
    registry, _ = heartbeat(registry, beat(health=own), at(1))
    assert only(registry).effective.health is seen  # what it says of itself does not end it


def test_troubles_come_and_go_one_by_one():
    registry = registered()
    for trouble in Trouble:
        registry, changes = note_trouble(registry, ALB.instance_id, trouble, "bad")
        assert [changed.change for changed in changes] == [Change.TROUBLED]
    registry, changes = note_trouble(registry, ALB.instance_id, Trouble.CALLS, "worse")
    assert (only(registry).troubles[Trouble.CALLS], changes) == ("worse", ())
    registry, changes = note_trouble(registry, ALB.instance_id, Trouble.CALLS, "")
    assert [changed.change for changed in changes] == [Change.RECOVERED]
    assert note_trouble(registry, ALB.instance_id, Trouble.CALLS, "") == (registry, ())
    assert only(registry).effective.health is HealthStatus.DEGRADED
    registry, _ = note_trouble(registry, ALB.instance_id, Trouble.CONNECTS, "")
    assert only(registry).effective.health is HealthStatus.HEALTHY
    assert note_trouble(registry, InstanceId("gone"), Trouble.CALLS, "bad") == (registry, ())
