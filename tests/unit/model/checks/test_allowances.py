"""Faults of allowances and prices."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import Allowance, Price, PricedModel
from marchproxy.model.checks.allowances import check_allowances, check_prices

ALLOWANCE = Allowance("a", "*", requests_per_minute=60)


def allowed(**change):
    return replace(ALLOWANCE, **change)


@pytest.mark.parametrize("target", ["*", "key:ci", "user:ann@b.example", "team:*", "model:gpt-4o", "model:*"])
def test_sound_targets(target):
    assert list(check_allowances([allowed(target=target)])) == []


@pytest.mark.parametrize("given", ["requests_per_minute", "tokens_per_minute", "concurrent", "budget_day", "budget_month"])  # fmt: skip
def test_one_limit_is_enough(given):
    assert (
        list(check_allowances([Allowance("a", "*", **{given: 1}), Allowance("b", "key:*", concurrent=1)]))
        == []
    )


@pytest.mark.parametrize(
    ("allowances", "paths", "message"),
    [
        ([allowed(allowance_id="a b")], ["[0].id"], '"a b" is not a name'),
        ([ALLOWANCE, allowed(target="team:*")], ["[1].id"], "the same as allowances[0].id"),
        ([ALLOWANCE, allowed(allowance_id="b")], ["[1].target"], "the same as allowances[0].target"),
        ([Allowance("a", "*")], ["[0]"], "allows any amount; give one of requests_per_minute, tokens_per_minute"),
        ([allowed(target="people:ann")], ["[0].target"], '"people:ann" is none of key:ID, user:NAME, team:NAME, model:NAME and "*"'),
        ([allowed(target="team")], ["[0].target"], '"team" is none of'),
        ([allowed(target="*:a")], ["[0].target"], '"*:a" is none of'),
        ([allowed(target="team:")], ["[0].target"], "names no team; team:* is each of them by itself"),
        ([allowed(target="model:gpt-*")], ["[0].target"], '"gpt-*" is a pattern; a model is named in full, or is *'),
        ([allowed(requests_per_minute=-1, concurrent=2**31)], ["[0].requests_per_minute", "[0].concurrent"], "-1 is not between 0"),
        ([allowed(budget_day=-0.5, budget_month=float("nan"))], ["[0].budget_day", "[0].budget_month"], "-0.5 is not between 0 and"),
        ([allowed(budget_day=float("inf"))], ["[0].budget_day"], "inf is not between"),
    ],
)  # fmt: skip
def test_faults_of_allowances(allowances, paths, message):
    found = list(check_allowances(allowances))
    assert sorted(problem.path for problem in found) == sorted(f"allowances{path}" for path in paths)
    assert any(problem.message.startswith(message) for problem in found), found


def test_sound_prices():
    prices = [
        PricedModel("gpt-*", Price(2.5, 10.0, 1.25)),
        PricedModel("gpt-4o", Price()),
        PricedModel("*", Price(1)),
    ]
    assert list(check_prices(prices)) == []


@pytest.mark.parametrize(
    ("prices", "paths", "message"),
    [
        ([PricedModel("a", Price()), PricedModel("a", Price())], ["[1].model"], "the same as prices[0].model"),
        ([PricedModel("a*b", Price())], ["[0].model"], '"a*b": a * stands for what follows'),
        ([PricedModel("", Price(-1, float("nan"), -1))], ["[0].model", "[0].input", "[0].output", "[0].cached"], "-1 is not between 0"),
    ],
)  # fmt: skip
def test_faults_of_prices(prices, paths, message):
    found = list(check_prices(prices))
    assert sorted(problem.path for problem in found) == sorted(f"prices{path}" for path in paths)
    assert any(problem.message.startswith(message) for problem in found), found
