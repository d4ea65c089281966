"""Items of the document with other shares of versions."""

from collections.abc import Mapping
from typing import Any

import pytest

from marchproxy.contract.document import decode
from marchproxy.manager.operating.targets import NotDone, Target
from marchproxy.manager.operating.weights import reweighed, share_of
from marchproxy.model.module import HealthStatus
from marchproxy.model.problem import Refused
from tests.unit.manager.watching.seen import part, view

STATE = decode(
    b"""
listeners:
  - {name: web, address: "0.0.0.0:80", protocol: http, version_weights: {v1: 90, v2: 10}}
  - {name: plain, address: "0.0.0.0:81", protocol: http}
routes:
  - {id: shop, hosts: [shop.test], backends: [{pool: blue, weight: 75}, {pool: green, weight: 25}]}
  - {id: api, hosts: [api.test], backends: [blue]}
pools:
  - {name: blue, version: v1, endpoints: ["127.0.0.1:1"]}
  - {name: green, version: v2, endpoints: ["127.0.0.1:2"]}
"""
)
BOTH = view(part("alb-1"), part("alb-2", version="v2"))
SHOP, WEB, PLAIN = Target("route", "shop"), Target("listener", "web"), Target("listener", "plain")


def shares(item: Mapping[str, Any]) -> Mapping[str, int]:
    return {backend["pool"]: backend.get("weight", 100) for backend in item["backends"]}


@pytest.mark.parametrize("percent", [0, 40, 100])
def test_a_route(percent: int) -> None:
    item = reweighed(STATE, BOTH, SHOP, "v2", percent)
    assert shares(item) == {"blue": 100 - percent, "green": percent}
    assert (item["id"], item["hosts"]) == ("shop", ["shop.test"])


@pytest.mark.parametrize(
    ("target", "percent", "expected"),
    [
        (WEB, 30, {"v1": 70, "v2": 30}),
        (WEB, 100, {"v1": 0, "v2": 100}),
        (WEB, 0, {"v1": 100, "v2": 0}),
        (PLAIN, 30, {"v1": 70, "v2": 30}),
    ],
)
def test_a_listener(target: Target, percent: int, expected: Mapping[str, int]) -> None:
    assert reweighed(STATE, BOTH, target, "v2", percent)["version_weights"] == expected


@pytest.mark.parametrize(
    ("target", "version", "percent", "words"),
    [
        (Target("route", "none"), "v2", 10, 'no route "none"'),
        (Target("listener", "none"), "v2", 10, 'no listener "none"'),
        (WEB, "v3", 10, 'no instance of version "v3"'),
        (SHOP, "v3", 10, "no backend has version"),
        (SHOP, "v2", 101, "not between 0 and 100"),
        (WEB, "v2", 101, "not between 0 and 100"),
        (Target("route", "api"), "v1", 50, "nothing can take the other"),
    ],
)
def test_what_is_refused(target: Target, version: str, percent: int, words: str) -> None:
    with pytest.raises((NotDone, Refused), match=words):
        reweighed(STATE, BOTH, target, version, percent)


def test_a_version_that_is_not_ready_gets_nothing() -> None:
    ill = view(part("alb-1"), part("alb-2", version="v2", health=HealthStatus.UNHEALTHY))
    with pytest.raises(NotDone, match="is ready"):
        reweighed(STATE, ill, WEB, "v2", 10)
    with pytest.raises(NotDone, match="of another version"):
        reweighed(STATE, ill, WEB, "v1", 50)
    assert reweighed(STATE, ill, WEB, "v1", 100)["version_weights"] == {"v1": 100, "v2": 0}


@pytest.mark.parametrize(
    ("target", "version", "share"), [(SHOP, "v2", 25), (WEB, "v2", 10), (WEB, "v9", 0), (PLAIN, "v1", 0)]
)
def test_desired_shares(target: Target, version: str, share: int) -> None:
    assert share_of(STATE, target, version) == share
