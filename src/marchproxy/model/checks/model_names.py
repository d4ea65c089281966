"""Checks of names of language models, and of patterns of them."""

import re
from collections.abc import Iterator, Sequence

from marchproxy.model.ai import ANY_MODEL
from marchproxy.model.problem import Problem

_LONGEST = 256
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


def check_model_name(name: str, path: str) -> Iterator[Problem]:
    """Faults of a model's name; a `*` is no part of one."""
    if not 1 <= len(name) <= _LONGEST or _CONTROL.search(name):
        yield Problem(path, f'"{name[:_LONGEST]}" is not a model: 1 to {_LONGEST} characters without blanks')
    elif ANY_MODEL in name:
        yield Problem(path, f'"{name}" is a pattern; a single name is needed here')


def check_model_pattern(pattern: str, path: str) -> Iterator[Problem]:
    """Faults of a model's name, or of its beginning with a `*` at the end."""
    if ANY_MODEL in pattern[:-1]:
        yield Problem(path, f'"{pattern}": a * stands for what follows, so only at the end')
    elif pattern != ANY_MODEL:
        yield from check_model_name(pattern.removesuffix(ANY_MODEL), path)


def check_model_patterns(patterns: Sequence[str], path: str) -> Iterator[Problem]:
    """Faults of a list of patterns."""
    for number, pattern in enumerate(patterns):
        yield from check_model_pattern(pattern, f"{path}[{number}]")
        if pattern in patterns[:number]:
            yield Problem(f"{path}[{number}]", f'"{pattern}" stands there twice')
