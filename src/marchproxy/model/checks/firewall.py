"""Checks of the firewall's rules."""

from collections.abc import Iterator, Sequence

from marchproxy.model.checks.patterns import check_patterns
from marchproxy.model.problem import Problem
from marchproxy.model.rules import check_name, duplicates, known
from marchproxy.model.sql import SQL_KINDS, SqlRule

_NAMES = ("tables", "columns", "functions")


def check_firewall(rules: Sequence[SqlRule], path: str) -> Iterator[Problem]:
    """Faults of the rules of one route."""
    yield from duplicates(path, "id", rules, lambda rule: rule.id)
    for number, rule in enumerate(rules):
        yield from _check_rule(rule, f"{path}[{number}]")


def _check_rule(rule: SqlRule, path: str) -> Iterator[Problem]:
    yield from check_name(rule.id, f"{path}.id")
    for number, kind in enumerate(rule.kinds):
        if kind not in SQL_KINDS:
            near = kind.lower()
            hint = f'; did you mean "{near}"?' if near in SQL_KINDS else known(SQL_KINDS)
            yield Problem(f"{path}.kinds[{number}]", f'"{kind}" is no kind of statement{hint}')
    for key in _NAMES:
        patterns: tuple[str, ...] = getattr(rule, key)
        yield from check_patterns(patterns, f"{path}.{key}")
        for number, pattern in enumerate(patterns):
            if pattern != pattern.lower():
                yield Problem(f"{path}.{key}[{number}]", f'write it in lower case: "{pattern.lower()}"')
    for key in ("users", "databases", "applications"):
        yield from check_patterns(getattr(rule.scope, key), f"{path}.{key}")
