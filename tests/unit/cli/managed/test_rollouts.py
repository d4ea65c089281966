import pytest

from marchproxy.cli.managed.rollouts import chosen, decisions, phase_text, standing, told
from tests.unit.cli.managed.seen import decision, rollout


def test_decisions_are_told_with_what_they_rest_on() -> None:
    found = rollout("ramping", decision(), decision("held", percent_before=25, reason="too few requests"))
    assert [line.plain for line in decisions(found, 0)] == [
        (
            "  03:04:05  5 → 25 %    kept to its limits\n"
            "            canary 1 of 40 failed, p99 3.5 ms\n            others no requests"
        ),
        (
            "  03:04:05  25 %        too few requests\n"
            "            canary 1 of 40 failed, p99 3.5 ms\n            others no requests"
        ),
    ]
    assert len(list(decisions(found, 1))) == 1
    assert list(decisions(found, 2)) == []


def test_where_one_stands_is_seen_before_why() -> None:
    found = rollout("rolled_back", decision(), decision("rolled_back", reason="7 % fail"), percent=0)
    assert standing(found).plain == "route shop: v2  ░░░░░░░░░░░░░░░░░░░░  rolled back at 0 %"
    assert phase_text(found).style == "red"
    assert told(found).plain.count("canary") == 2
    last = told(found, most=1).plain
    assert last.startswith("route shop: v2  ░")
    assert "7 % fail" in last
    assert "kept to its limits" not in last
    assert told(rollout()).plain == "route shop: v2  █████░░░░░░░░░░░░░░░  ramping at 25 %\n  started"


@pytest.mark.parametrize(
    ("on", "target", "version", "found"),
    [
        ("route", "shop", "", "v2"),
        ("route", "shop", "v2", "v2"),
        ("route", "shop", "v3", None),
        ("route", "cart", "", "v9"),  # one on everything is on it, too
        ("listener", "shop", "", None),
    ],
)
def test_the_one_that_is_meant(on: str, target: str, version: str, found: str | None) -> None:
    one = chosen([rollout(), rollout(version="v9", target="")], on=on, target=target, version=version)
    assert (one and one["version"]) == found
