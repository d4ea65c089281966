"""Names of language models, and patterns of them: with a `*` at the end any that begins so. Pure.

No other character is special: `[1m]` and `:` stand in names of models.
"""

from collections.abc import Iterable

from marchproxy.model.ai import ANY_MODEL


def fits(pattern: str, name: str) -> bool:
    """Whether a pattern means a name; of two patterns: whether the first means all that the other does."""
    return name == pattern or (pattern.endswith(ANY_MODEL) and name.startswith(pattern[:-1]))


class ModelPatterns:
    """A set of patterns that is asked often; a question costs a look-up for each length that a pattern has."""

    __slots__ = ("_beginnings", "_lengths", "_plain")

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        self._plain = frozenset(pattern for pattern in patterns if not pattern.endswith(ANY_MODEL))
        self._beginnings = frozenset(pattern[:-1] for pattern in patterns if pattern.endswith(ANY_MODEL))
        self._lengths = sorted({len(beginning) for beginning in self._beginnings}, reverse=True)

    def longest(self, name: str) -> str | None:
        """The pattern that says most of those that mean the name: itself, else the longest beginning; None: none does."""
        if name in self._plain:
            return name
        for length in self._lengths:
            if length <= len(name) and name[:length] in self._beginnings:
                return name[:length] + ANY_MODEL
        return None

    def __contains__(self, name: str) -> bool:
        return self.longest(name) is not None
