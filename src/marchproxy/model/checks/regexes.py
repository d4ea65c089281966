"""Checks of regular expressions that Python runs on what strangers send: only what RE2 has too, and nothing that runs away.

Python's engine tries every way to divide a text among repetitions, so `(a+)+b` takes ages for a row of a's.
"""

import re
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from marchproxy.model.problem import Problem
from marchproxy.model.rules import check_regex

#: A repetition of what has several forms, or repeats itself, is bounded by this, and so is what is in it.
_FEW = 16
_REPEATS = frozenset({op.MAX_REPEAT, op.MIN_REPEAT})
_NOT_OF_RE2 = {
    op.ASSERT: "looks ahead or behind",
    op.ASSERT_NOT: "looks ahead or behind",
    op.GROUPREF: "refers back to a group",
    op.GROUPREF_EXISTS: "asks whether a group matched",
    op.ATOMIC_GROUP: "has an atomic group",
    op.POSSESSIVE_REPEAT: "has a possessive repetition",
}
_MAY_RUN_AWAY = f", which may take ages; repeat both at most {_FEW} times"


def check_tame_regex(pattern: str, path: str) -> Iterator[Problem]:
    """Faults of an expression that is looked for in text of any length."""
    faults = list(check_regex(pattern, path))
    yield from faults
    if faults:
        return
    fault = next(_faults(_parser.parse(pattern), times=1), None)
    if fault is not None:
        yield Problem(path, f'"{pattern}" {fault}')
    elif re.compile(pattern).match("") is not None:
        yield Problem(path, f'"{pattern}" matches nothing at all, so it is found everywhere')


def _faults(parsed: Any, times: int) -> Iterator[str]:
    """Faults of what is tried so many times at one place."""
    for kind, value in parsed:
        if kind in _NOT_OF_RE2:
            yield f"{_NOT_OF_RE2[kind]}, which RE2 does not know"
        elif kind in _REPEATS:
            least, most, body = value
            if times > 1 and least != most and max(times, most) > _FEW:
                yield f"repeats what has a repetition or an option in it{_MAY_RUN_AWAY}"
            yield from _faults(body, times * most)
        elif kind is op.BRANCH:
            if times > _FEW:
                yield f"repeats alternatives{_MAY_RUN_AWAY}"
            for branch in value[1]:
                yield from _faults(branch, times)
        elif kind is op.SUBPATTERN:
            yield from _faults(value[-1], times)
