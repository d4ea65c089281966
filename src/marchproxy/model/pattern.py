"""Patterns: what can be told of a regular expression without running it."""

import re
from functools import lru_cache

# characters that stand for themselves, plain or escaped, and may not be left out; `\d` and `a*` end the run
_LITERALS = re.compile(r"\^?((?:(?:[^\\.^$*+?{}\[\]|()]|\\\W)(?![*?{]))*)")


@lru_cache(maxsize=1024)
def literal_prefix(pattern: str) -> str:
    """The text that everything the pattern matches begins with. Empty when there is none, or when in doubt.

    >>> literal_prefix(r"/shop\\.v1/[0-9]+")
    '/shop.v1/'
    """
    found = _LITERALS.match(pattern)
    if found is None or _may_choose(pattern):
        return ""
    return re.sub(r"\\(\W)", r"\1", found[1])


def _may_choose(pattern: str) -> bool:
    """Whether `|` may divide the whole pattern rather than a group in it."""
    if "|" not in pattern:
        return False
    plain = re.sub(r"\\.", "", pattern, flags=re.DOTALL)
    if "[" in plain:  # what is in a character class would have to be told from what is not
        return True
    depth = 0
    for character in plain:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            return True
    return False
