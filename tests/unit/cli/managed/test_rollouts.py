import pytest

from marchproxy.cli.managed.rollouts import chosen, decisions, phase_text, rollouts
from tests.unit.cli.managed.seen import decision, rollout


def test_decisions_are_told_with_what_they_rest_on() -> None:
    found = rollout("ramping", decision(), decision("held", percent_before=25, reason="too few requests"))
    assert [line.plain for line in decisions(found, 0)] == [
        "03:04:05  5 → 25 %    kept to its limits  (canary 1 of 40 failed, p99 3.5 ms; beside it no requests)",
        "03:04:05  25 %        too few requests  (canary 1 of 40 failed, p99 3.5 ms; beside it no requests)",
    ]
    assert len(list(decisions(found, 1))) == 1
    assert list(decisions(found, 2)) == []


def test_the_table_has_the_newest_decision_first_and_names_it_once() -> None:
    found = rollout("rolled_back", decision(), decision("rolled_back", reason="7 % fail"), percent=0)
    rows = [[str(cell) for cell in row] for row in rollouts([found, rollout(version="v3")]).rows]
    assert [row[:3] for row in rows] == [
        ["route shop", "v2", "rolled back at 0 %"],
        ["", "", ""],
        ["route shop", "v3", "ramping at 25 %"],
    ]
    assert [row[-1] for row in rows] == ["7 % fail", "kept to its limits", "started"]
    assert phase_text(found).style == "red"


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
