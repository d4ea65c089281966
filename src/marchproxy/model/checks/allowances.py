"""Checks of what language models may cost: allowances and prices."""

from collections.abc import Iterator, Sequence

from marchproxy.model.ai import ANY_MODEL, Allowance, AllowanceScope, PricedModel
from marchproxy.model.checks.model_names import check_model_pattern
from marchproxy.model.problem import Problem
from marchproxy.model.rules import check_count, check_name, duplicates

_COUNTS = ("requests_per_minute", "tokens_per_minute", "concurrent")
_BUDGETS = ("budget_day", "budget_month")
_MOST = 1e12  # money; far beyond any bill, and as whole millionths within 64 bits


def check_allowances(allowances: Sequence[Allowance]) -> Iterator[Problem]:
    """Faults of the allowances. Whether a key, user or team is there is not looked at: there may be a file of more keys."""
    yield from duplicates("allowances", "id", allowances, lambda allowance: allowance.allowance_id)
    yield from duplicates("allowances", "target", allowances, lambda allowance: allowance.target)
    for index, allowance in enumerate(allowances):
        yield from _check_allowance(allowance, f"allowances[{index}]")


def check_prices(prices: Sequence[PricedModel]) -> Iterator[Problem]:
    """Faults of the price table."""
    yield from duplicates("prices", "model", prices, lambda priced: priced.model)
    for index, priced in enumerate(prices):
        path = f"prices[{index}]"
        yield from check_model_pattern(priced.model, f"{path}.model")
        yield from _check_money(priced.price.input, f"{path}.input")
        yield from _check_money(priced.price.output, f"{path}.output")
        if priced.price.cached is not None:
            yield from _check_money(priced.price.cached, f"{path}.cached")


def _check_allowance(allowance: Allowance, path: str) -> Iterator[Problem]:
    yield from check_name(allowance.allowance_id, f"{path}.id")
    yield from _check_target(allowance, f"{path}.target")
    if not any(getattr(allowance, key) for key in (*_COUNTS, *_BUDGETS)):
        yield Problem(path, f"allows any amount; give one of {', '.join((*_COUNTS, *_BUDGETS))}")
    for key in _COUNTS:
        yield from check_count(getattr(allowance, key), f"{path}.{key}")
    for key in _BUDGETS:
        yield from _check_money(getattr(allowance, key), f"{path}.{key}")


def _check_target(allowance: Allowance, path: str) -> Iterator[Problem]:
    name = allowance.subject
    match allowance.scope:
        case AllowanceScope.EVERYTHING:
            return
        case None:
            yield Problem(
                path,
                f'"{allowance.target}" is none of key:ID, user:NAME, team:NAME, model:NAME and "*"; '
                "with * as the name, each has one of its own",
            )
        case scope if not name:
            yield Problem(path, f"names no {scope.value}; {scope.value}:* is each of them by itself")
        case scope if ANY_MODEL in name and name != ANY_MODEL:
            yield Problem(path, f'"{name}" is a pattern; a {scope.value} is named in full, or is *')


def _check_money(amount: float, path: str) -> Iterator[Problem]:
    if not 0 <= amount <= _MOST:
        yield Problem(path, f"{amount:g} is not between 0 and {_MOST:g}")
