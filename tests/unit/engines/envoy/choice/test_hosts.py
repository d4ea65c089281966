"""The share of each host, by policy; tests/real/test_alb_choices.py compares them with traffic."""

from collections import Counter

import pytest

from marchproxy.engines.envoy.choice import Policy, shares, xxh64
from marchproxy.engines.envoy.choice.tables import TooLarge
from marchproxy.engines.envoy.clusters import HostCounts, HostStatus

TABLES = (Policy.MAGLEV, Policy.RING)


def host(
    address: str, *flags: str, weight: int = 1, active: int = 0, eds: str = "HEALTHY", priority: int = 0
):
    return HostStatus(address, "", weight, eds, frozenset(flags), HostCounts(rq_active=active), priority)


def table(found) -> dict[str, float]:
    return {one.host.address: round(one.share, 4) for one in found if one.share}


@pytest.mark.parametrize(
    ("policy", "hosts", "expected"),
    [
        (Policy.ROUND_ROBIN, [host("a", weight=3), host("b")], {"a": 0.75, "b": 0.25}),
        (Policy.RANDOM, [host("a", weight=3), host("b")], {"a": 0.5, "b": 0.5}),
        (Policy.LEAST_REQUEST, [host("a"), host("b")], {"a": 0.5, "b": 0.5}),
        (Policy.LEAST_REQUEST, [host("a", active=9), host("b")], {"a": 0.25, "b": 0.75}),
        (Policy.LEAST_REQUEST, [host("a", active=2), host("b"), host("c", active=1)], {"a": 0.1111, "b": 0.5556, "c": 0.3333}),
        (Policy.LEAST_REQUEST, [host("a", weight=3, active=2), host("b")], {"a": 0.5, "b": 0.5}),
        (Policy.MAGLEV, [host("a", weight=3), host("b")], {"a": 0.75, "b": 0.25}),
        (Policy.ROUND_ROBIN, [host("a", "failed_outlier_check"), host("b")], {"b": 1}),
        (Policy.ROUND_ROBIN, [host("a", "failed_outlier_check"), host("b", eds="DRAINING")], {"a": 0.5, "b": 0.5}),
        (Policy.ROUND_ROBIN, [host("a"), host("b", priority=1)], {"a": 1}),
        (Policy.ROUND_ROBIN, [host("a", "failed_outlier_check"), host("b", priority=1)], {"b": 1}),
        (Policy.ROUND_ROBIN, [host("a"), host("c", "failed_outlier_check"), host("b", priority=1)], {"a": 0.7, "b": 0.3}),
        (Policy.ROUND_ROBIN, [], {}),
    ],
)  # fmt: skip
def test_shares(policy: Policy, hosts, expected) -> None:
    assert table(shares(hosts, policy, None)) == expected


@pytest.mark.parametrize("policy", TABLES)
def test_a_hash_makes_it_certain_and_spreads_by_weight(policy: Policy) -> None:
    hosts = [host("10.0.0.1:80", weight=3), host("10.0.0.2:80"), host("10.0.0.3:80", "failed_outlier_check")]
    chosen = Counter()
    for number in range(600):
        ((address, share),) = table(shares(hosts, policy, xxh64(f"key {number}".encode()))).items()
        assert share == 1
        chosen[address] += 1
    assert set(chosen) == {"10.0.0.1:80", "10.0.0.2:80"}
    assert 380 < chosen["10.0.0.1:80"] < 520  # of 600, three in four


@pytest.mark.parametrize("policy", TABLES)
def test_who_goes_moves_only_its_own(policy: Policy) -> None:
    hosts = [host(f"10.0.0.{number}:80") for number in range(1, 6)]
    moved = 0
    for number in range(300):
        value = xxh64(f"key {number}".encode())
        (before,) = table(shares(hosts, policy, value))
        (after,) = table(shares(hosts[1:], policy, value))
        moved += before not in {after, hosts[0].address}
    assert moved < 40  # of 300: the others have more places in the table than before


def test_a_ring_that_is_too_large_is_not_built() -> None:
    with pytest.raises(TooLarge):
        shares([host("a", weight=1), host("b", weight=10**9)], Policy.RING, 5)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (host("a"), ""),
        (host("a", "failed_outlier_check"), "left out for its failures"),
        (host("a", "failed_active_health_check", "failed_outlier_check"), "left out for its failures, fails its health check"),
        (host("a", eds="DRAINING"), "told to drain"),
    ],
)  # fmt: skip
def test_why_a_host_takes_none(one, words: str) -> None:
    (found,) = shares([one], Policy.ROUND_ROBIN, None)
    assert found.trouble == words
