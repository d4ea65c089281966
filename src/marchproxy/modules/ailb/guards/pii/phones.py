"""Telephone numbers: with the country in front (E.164), and as they are written at home in the US, the UK, France and Germany. Pure.

A row of digits alone is none, unless it begins as a mobile's does: it could be anything.
"""

import re
from collections.abc import Iterator

from marchproxy.modules.ailb.guards.pii.numbers import begins

_CANDIDATE = re.compile(r"[0-9](?:[ \u00a0().\u2010\u2011/-]{0,3}[0-9]){6,}")
_DIGITS = re.compile(r"[0-9]+")
_NO_END = r"(?![0-9A-Za-z_]|[.-][0-9])"
_WORLD = re.compile(r"[1-9](?:(?:[ \u00a0./\u2010\u2011-]|[ -]?\(|\)[ -]?)?[0-9]){7,14}" + _NO_END)
# North America: area and exchange begin with 2 to 9
_US = re.compile(r"(?:1[ .-]?)?\(?[2-9][0-9]{2}(?:\) ?|[ .-])[2-9][0-9]{2}[ .-][0-9]{4}" + _NO_END)
_WITH_ZERO = tuple(
    re.compile(form + _NO_END)
    for form in (
        r"0[1-9](?P<by>[ .-])[0-9]{2}(?:(?P=by)[0-9]{2}){3}",
        r"0(?:20 ?[0-9]{4} [0-9]{4}|1[0-9]{2} [0-9]{3} [0-9]{4}|1[0-9]{3} [0-9]{5,6}|7[0-9]{3} [0-9]{3} ?[0-9]{3})",
        r"\(?0(?:1[567][0-9]{1,2}|[2-9][0-9]{1,4})(?:\) ?| ?[/-] ?| )[0-9]{5,8}(?:-[0-9]{1,4})?",
        r"\(?0(?:1[567][0-9]{1,2}|[2-9][0-9]{1,4})(?:\) ?| ?[/-] ?| )[0-9]{3,4}[ -][0-9]{2,4}(?:[ -][0-9]{1,4})?",
        r"0(?:1[567][0-9]{8,9}|7[0-9]{9}|[67][0-9]{8})",  # mobiles of Germany, the UK and France
    )
)


def find_phones(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Telephone numbers."""
    for candidate in _CANDIDATE.finditer(text, start, stop):
        at = candidate.start()
        for digits in _DIGITS.finditer(text, at, candidate.end()):
            first, last = _phone(text, digits.start()) if digits.start() >= at else (0, 0)
            if last and first >= start:
                yield first, last
                at = last


def _phone(text: str, digit: int) -> tuple[int, int]:
    """Where one stands whose first digit this is; (0, 0): it is none's."""
    if digit and text[digit - 1] == "+":
        return _abroad(text, digit - 1, digit)
    if text.startswith("00", digit):
        return _abroad(text, digit, digit + 2)
    first = digit - 1 if digit and text[digit - 1] == "(" else digit
    if not begins(text, first, signs="-.:/$€£#"):
        return 0, 0
    forms = _WITH_ZERO if text[digit] == "0" else (_US,)
    return next((found.span() for form in forms if (found := form.match(text, first))), (0, 0))


def _abroad(text: str, first: int, country: int) -> tuple[int, int]:
    found = _WORLD.match(text, country) if begins(text, first) else None
    return (first, found.end()) if found else (0, 0)
