"""Shares of versions on listeners, as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.listener import Listener
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import VersionWeight
from marchproxy.nlb.rules.versions import Fleet, current_split, set_version_weight

YES = Verdict(can_handle=True)


def listener(name: str = "web", **shares: int) -> Listener:
    weights = tuple(VersionWeight(Version(version), weight) for version, weight in shares.items())
    return Listener(name, "127.0.0.1", 80, version_weights=weights)


def fleet(ready: str, unready: str = "", *, listeners: tuple[str, ...] = ("web", "other")) -> Fleet:
    """Instances by version, in words; those that are not ready are stopping."""
    instances = [
        ModuleInstance(
            InstanceId(f"{version}-{number}"),
            ModuleType.ALB,
            "10.0.0.1:1",
            Version(version),
            health,
            traffic_endpoints=(TrafficEndpoint("http", Protocol.HTTP, f"10.0.0.{number}:80"),),
        )
        for health, words in ((HealthStatus.HEALTHY, ready), (HealthStatus.STOPPING, unready))
        for number, version in enumerate(words.split())
    ]
    return Fleet(instances, {(i.instance_id, name): YES for i in instances for name in listeners})


def shares(item: Listener) -> dict[str, int]:
    return {share.version: share.weight for share in item.version_weights}


@pytest.mark.parametrize(
    ("before", "versions", "version", "percent", "after"),
    [
        ({}, fleet("v1 v1 v2"), "v2", 5, {"v1": 95, "v2": 5}),  # so far every instance had its share
        ({"v1": 100}, fleet("v1 v2"), "v2", 25, {"v1": 75, "v2": 25}),
        ({"v1": 75, "v2": 25}, fleet("v1 v2"), "v2", 100, {"v1": 0, "v2": 100}),
        ({"v1": 75, "v2": 25}, fleet("v1 v2"), "v2", 0, {"v1": 100, "v2": 0}),
        ({"v1": 60, "v2": 30, "v3": 10}, fleet("v1 v2 v3"), "v3", 40, {"v1": 40, "v2": 20, "v3": 40}),
        ({"v1": 0, "v2": 100}, fleet("v1 v2"), "v2", 50, {"v1": 50, "v2": 50}),  # who is there takes the rest
        ({"v1": 0, "v2": 100}, fleet("v2 v3"), "v3", 10, {"v2": 90, "v3": 10}),  # what is gone is forgotten
        ({"v1": 50, "v2": 50}, fleet("v2", "v1"), "v2", 100, {"v1": 0, "v2": 100}),
        ({"v1": 100}, fleet("v1"), "v1", 100, {"v1": 100}),
        ({"v1": 50, "v2": 50}, fleet("v1"), "v2", 0, {"v1": 100}),  # to leave, nobody needs to be there
    ],
)
def test_the_others_take_the_rest_in_their_proportions(before, versions, version, percent, after):
    (shifted,) = set_version_weight([listener(**before)], versions, Version(version), percent, "web")
    assert shares(shifted) == after
    assert sum(after.values()) == 100


@pytest.mark.parametrize(
    ("versions", "version", "percent", "target", "code", "words"),
    [
        (fleet("v1 v2"), "v2", 101, "web", RefusalCode.INVALID_ARGUMENT, "101 is not between 0 and 100"),
        (fleet("v1 v2"), "v9", 5, "web", RefusalCode.NOT_FOUND, 'no module has version "v9"; versions: v1, v2'),
        (fleet("v1 v2"), "v9", 5, "", RefusalCode.NOT_FOUND, 'no module has version "v9"'),
        (fleet("v1 v2"), "v2", 5, "x", RefusalCode.NOT_FOUND, 'no listener "x"; listeners: web'),
        (fleet("v1", "v2"), "v2", 5, "web", RefusalCode.UNAVAILABLE, 'no instance of version "v2" is ready'),
        (fleet("v2", "v1"), "v2", 5, "web", RefusalCode.UNAVAILABLE, "another version is ready to take 95 %"),
        (fleet("v1 v2", listeners=()), "v2", 5, "web", RefusalCode.UNAVAILABLE, 'of version "v2" is ready'),
    ],
)  # fmt: skip
def test_what_nobody_could_carry_is_refused(versions, version, percent, target, code, words):
    with pytest.raises(Refused, match=words.replace("(", r"\(")) as refused:
        set_version_weight([listener(v1=100)], versions, Version(version), percent, target)
    assert refused.value.code is code


def test_without_a_name_every_listener_that_has_the_version_is_shifted():
    tcp = Listener("db", "127.0.0.1", 81, module_type=ModuleType.DBLB)
    both = [listener("web", v1=100), tcp, listener("other", v1=50, v2=50)]
    web, db, other = set_version_weight(both, fleet("v1 v2"), Version("v2"), 20, "")
    assert (shares(web), shares(other)) == ({"v1": 80, "v2": 20},) * 2
    assert db is tcp


def test_a_split_is_of_one_listener_or_the_mean():
    both = [listener("web", v1=100, v2=0), listener("other", v1=50, v2=50)]
    assert current_split(both, fleet("v1 v2"), "other").shares == (("v1", 50), ("v2", 50))
    assert current_split(both, fleet("v1 v2"), "").shares == (("v1", 75), ("v2", 25))
    assert current_split([listener()], fleet("v1 v1 v2"), "web").shares == (("v1", 67), ("v2", 33))
    assert current_split([], fleet("v1"), "").shares == ()
    with pytest.raises(Refused, match='no listener "x"'):
        current_split(both, fleet("v1"), "x")


@given(
    weights=st.lists(st.integers(0, 100), min_size=4, max_size=4),
    ready=st.sets(st.sampled_from(["v1", "v2", "v3", "v4"])),
    version=st.sampled_from(["v1", "v2", "v3", "v4"]),
    percent=st.integers(0, 100),
)
def test_whatever_is_shifted_somebody_ready_has_the_connections(weights, ready, version, percent):
    names = ["v1", "v2", "v3", "v4"]
    there = fleet(" ".join(sorted(ready)), " ".join(sorted(set(names) - ready)))
    before = listener(**dict(zip(names, weights, strict=True)))
    try:
        (shifted,) = set_version_weight([before], there, Version(version), percent, "web")
    except Refused:
        assert version not in ready or ready == {version}
        return
    after = shares(shifted)
    assert sum(after.values()) == 100
    assert after[version] == percent
    assert any(after[name] for name in ready)
