"""Globs: patterns of names as in a shell (*, ?, […]), and whether two of them have a name in common. Pure.

They match as `fnmatch.fnmatchcase` does.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase, translate
from functools import lru_cache

_MAGIC = frozenset("*?[")


def is_glob(pattern: str) -> bool:
    """Whether the pattern is more than a plain name."""
    return not _MAGIC.isdisjoint(pattern)


def is_meant(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns matches the name; without any, every name is meant."""
    if not patterns:
        return True
    plain, others = _sorted(patterns)
    return name in plain or (others is not None and others.match(name) is not None)


@lru_cache(maxsize=16_384)  # the lists of all routes: each is asked about at every login
def _sorted(patterns: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str] | None]:
    """The plain names, and one expression for all others."""
    globs = [translate(pattern) for pattern in patterns if is_glob(pattern)]
    plain = frozenset(pattern for pattern in patterns if not is_glob(pattern))
    return plain, re.compile("|".join(globs)) if globs else None


def literal_beginning(pattern: str) -> str:
    """What every name that it matches begins with."""
    return pattern[: next((at for at, one in enumerate(pattern) if one in _MAGIC), len(pattern))]


def any_globs_meet(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether some name is matched by both lists; an empty one matches every name."""
    return not first or not second or any(globs_meet(one, other) for one in first for other in second)


@lru_cache(maxsize=4096)
def globs_meet(first: str, second: str) -> bool:
    """Whether some name matches both; of two sets of characters ([ab], [!c]) it is taken for granted."""
    if not is_glob(first):
        return fnmatchcase(first, second)
    if not is_glob(second):
        return fnmatchcase(second, first)
    ones, others = _parts(first), _parts(second)
    # row by row: whether what was read of the one and what was read of the other can be the same text
    row = [True]
    for part in others:
        row.append(row[-1] and part == "*")
    for one in ones:
        below = [row[0] and one == "*"]
        for number, other in enumerate(others):
            if "*" in {one, other}:
                below.append(row[number + 1] or below[number])
            else:
                below.append(row[number] and _single(one, other))
        row = below
    return row[-1]


def _single(one: str, other: str) -> bool:
    """Whether some character is matched by both parts."""
    if one == "?" or other == "?" or len(one) > 1 < len(other):
        return True
    return fnmatchcase(one, other) if len(other) > 1 else fnmatchcase(other, one)


def _parts(pattern: str) -> list[str]:
    """The pattern in pieces: *, ?, a set of characters with its brackets, or one character."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        end = at + 1
        if pattern[at] == "[":
            start = at + 2 if pattern[at + 1 : at + 2] == "!" else at + 1
            closing = pattern.find("]", start + 1)  # one that stands first is itself in the set
            end = closing + 1 if closing > 0 else end
        parts.append(pattern[at:end])
        at = end
    return parts
