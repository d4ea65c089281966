"""Checks of patterns of names, as in a shell."""

import re
from collections.abc import Iterator, Sequence

from marchproxy.model.problem import Problem

_LONGEST = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_patterns(patterns: Sequence[str], path: str) -> Iterator[Problem]:
    """Faults of a list of names and patterns."""
    for number, pattern in enumerate(patterns):
        if not 1 <= len(pattern) <= _LONGEST or _CONTROL.search(pattern):
            yield Problem(
                f"{path}[{number}]",
                f"a name or pattern has 1 to {_LONGEST} characters, none of them a control character",
            )
        elif pattern in patterns[:number]:
            yield Problem(f"{path}[{number}]", f'"{pattern}" stands there twice')
