"""Looker: for expressions of one's own. Pure.

Python's engine goes back, so how long it may take is bounded by three things: an expression has at most 5,000 ways to match at one
place (`model.checks.regexes` sees to it), a look is at some 1,000 places, and between two looks there is a clock.
"""

import re
from collections.abc import Iterable
from re import _parser  # type: ignore[attr-defined]

from marchproxy.modules.ailb.guards.span import Span, add

#: Characters of a match, at most; what could be longer is found where it is not.
_LONGEST = 4096


class RegexLooker:
    """Looks for these expressions, in their order. `word`: the kind of what they find."""

    step = 1024
    skips: frozenset[str] = frozenset()

    def __init__(self, patterns: Iterable[str], word: str) -> None:
        self._forms = [re.compile(pattern) for pattern in patterns]
        widths = [_parser.parse(form.pattern).getwidth()[1] for form in self._forms]
        self._reach = min(_LONGEST, max(widths, default=0)) + 1
        self._word = word

    def look(self, text: str, start: int, end: int) -> list[Span]:
        """As a Looker's. Nothing at all is no match."""
        stop = min(len(text), end + self._reach)
        found: list[Span] = []
        for form in self._forms:
            for match in form.finditer(text, start, stop):
                if match.start() >= end:
                    break
                if match.end() > match.start():
                    add(found, Span(*match.span(), self._word))
        return found
