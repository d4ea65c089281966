"""Checks of regular expressions that Python looks for in what strangers send: no more than RE2 has, and nothing that runs away.

Python's engine goes back and tries every way to divide a text among repetitions, anew at every place: `[0-9]+%` takes minutes
for a hundred thousand digits, `(a+)+b` ages for thirty a's. So the ways that there are at one place have a bound.
"""

import re
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from marchproxy.model.problem import Problem
from marchproxy.model.rules import check_regex

_MOST_WAYS = 5000
_REPEATS = frozenset({op.MAX_REPEAT, op.MIN_REPEAT})
_NOT_OF_RE2 = {
    op.ASSERT: "looks ahead or behind",
    op.ASSERT_NOT: "looks ahead or behind",
    op.GROUPREF: "refers back to a group",
    op.GROUPREF_EXISTS: "asks whether a group matched",
    op.ATOMIC_GROUP: "has an atomic group",
    op.POSSESSIVE_REPEAT: "has a possessive repetition",
}


class _Untamed(Exception):
    """Says why."""


def check_tame_regex(pattern: str, path: str) -> Iterator[Problem]:
    """Faults of an expression that is looked for in text of any length."""
    faults = list(check_regex(pattern, path))
    yield from faults
    if faults:
        return
    try:
        _ways(_parser.parse(pattern))
    except _Untamed as error:
        yield Problem(path, f'"{pattern}" {error}')
    else:
        if re.compile(pattern).match("") is not None:
            yield Problem(path, f'"{pattern}" matches nothing at all, so it is found everywhere')


def _ways(parsed: Any) -> int:
    """In how many ways it can match at one place, at most. Raises _Untamed."""
    found = 1
    for kind, value in parsed:
        if kind in _NOT_OF_RE2:
            raise _Untamed(f"{_NOT_OF_RE2[kind]}, which RE2 does not know")
        if kind in _REPEATS:
            found *= _ways_to_repeat(*value)
        elif kind is op.BRANCH:
            found *= sum(_ways(branch) for branch in value[1])
        elif kind is op.SUBPATTERN:
            found *= _ways(value[-1])
        if found > _MOST_WAYS:
            raise _Untamed(
                f"can match in more than {_MOST_WAYS:,} ways at one place, "
                "and a text could make it try them all; bound its repetitions more narrowly"
            )
    return found


def _ways_to_repeat(least: int, most: int, body: Any) -> int:
    if most == op.MAXREPEAT:
        raise _Untamed(
            "repeats without a bound, for which a long text could take ages; write {1,64} or the like"
        )
    once = _ways(body)
    if once == 1:
        return most - least + 1
    # where it is far too much anyway, there is no need to know how much
    return sum(once ** min(times, _MOST_WAYS.bit_length()) for times in range(least, most + 1))
