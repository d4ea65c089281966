"""Numbers of accounts and persons: cards, IBANs, US social security numbers. Pure.

Written with ASCII digits. Each search begins at a digit, which regular expressions find fast, and looks back from there.
"""

import re
from collections.abc import Iterator

from marchproxy.modules.ailb.guards.pii.checksums import iban_length, is_card, is_iban

_SEPARATORS = frozenset(" -\u00a0")
_NO_SEPARATOR = str.maketrans("", "", "".join(_SEPARATORS))
# as one row, or in groups as they are printed: 4-4-4-4(-3), 4-6-5, 4-6-4
_CARD = re.compile(
    r"[0-9](?:[0-9]{12,18}|[0-9]{3}(?P<by>[ \u00a0-])(?:[0-9]{4}(?P=by)[0-9]{4}(?P=by)[0-9]{4}(?:(?P=by)[0-9]{3})?"
    r"|[0-9]{6}(?P=by)[0-9]{4,5}))(?![0-9])"
)
_CHECK_DIGITS = re.compile(r"[0-9](?<=[A-Za-z]{2}[0-9])[0-9]")
_SSN = re.compile(r"[0-9]{3}(?P<by>[ -])[0-9]{2}(?P=by)[0-9]{4}(?![0-9A-Za-z]|[ -][0-9])")


def find_cards(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Numbers of credit and debit cards."""
    at = start
    while match := _CARD.search(text, at, stop):
        if begins(text, match.start()) and is_card(match[0].translate(_NO_SEPARATOR)):
            yield match.span()
            at = match.end()
        else:
            at = match.start() + 1  # another group in front of it


def find_ibans(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """International bank account numbers: the search begins at the check digits, two letters before."""
    for match in _CHECK_DIGITS.finditer(text, start, stop):
        first = match.start() - 2
        size = iban_length(text[first : match.start()]) if first >= start else 0
        if size and begins(text, first):
            last = _end_of(text, match.start(), stop, size - 2)
            if last and is_iban(text[first:last].translate(_NO_SEPARATOR)):
                yield first, last


def find_ssns(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Social security numbers of the US, with separators; those that were never given out are none."""
    for match in _SSN.finditer(text, start, stop):
        area, group, serial = match[0][:3], match[0][4:6], match[0][7:]
        never = area in {"000", "666"} or area[0] == "9" or group == "00" or serial == "0000"
        if not never and begins(text, match.start(), signs="-+."):
            yield match.span()


def begins(text: str, at: int, *, signs: str = "") -> bool:
    """Whether what is found there does not continue a word, nor what one of `signs` stands in."""
    return not at or not (text[at - 1].isalnum() or text[at - 1] == "_" or text[at - 1] in signs)


def _end_of(text: str, at: int, stop: int, count: int) -> int:
    """Where so many ASCII letters and digits end, with one separator at most between two; 0: it is something else."""
    parted = False
    while count:
        sign = text[at : at + 1] if at < stop else ""
        if sign.isascii() and sign.isalnum():
            count, parted = count - 1, False
        elif sign in _SEPARATORS and not parted:
            parted = True
        else:
            return 0
        at += 1
    return 0 if at < len(text) and text[at].isalnum() else at
