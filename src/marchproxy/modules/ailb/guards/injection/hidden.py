"""Hidden text: characters that people do not see and models read, and words that are written as base64. Pure.

https://www.unicode.org/reports/tr36/, https://unicode.org/reports/tr51/#valid-emoji-tag-sequences
"""

import re
import unicodedata
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator

# one after another, as they stand for letters one by one; flags of regions are a black flag with some behind
_TAGS = re.compile("(?<!\U0001f3f4)(?<![\U000e0020-\U000e007e])[\U000e0020-\U000e007e]{2,2000}")
_SELECTORS = re.compile("[\U000e0100-\U000e01ef]{4,2000}")
# between two letters of Latin, Greek or Cyrillic, where no script needs them
_JOINERS = re.compile(
    "(?<=[A-Za-z\u00c0-\u052f])[\u200b-\u200d\u2060\ufeff\u00ad]{1,50}(?=[A-Za-z\u00c0-\u052f])"
)
_TURNED = re.compile("[\u202d\u202e]")
_INVISIBLE = re.compile(
    "[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad\U000e0000-\U000e007f\U000e0100-\U000e01ef]+"
)
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u093c\u094d\u20d0-\u20ff\u3099\u309a]+"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,4000}")
_MOST_BASE64 = 16
_URL_SAFE = str.maketrans("-_", "+/")
_FEWEST_JOINERS = 3


def plain(text: str) -> str:
    """In small letters, without accents and what is not seen, with single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", _INVISIBLE.sub("", text))
        text = unicodedata.normalize("NFC", _ACCENTS.sub("", text))
    return " ".join(text.lower().split())


def find_hidden(text: str, start: int, stop: int) -> Iterator[tuple[int, int, str, float]]:
    """Where something is hidden, what, and how much that says."""
    for form, kind, weight in ((_TAGS, "hidden_tags", 1.0), (_SELECTORS, "hidden_selectors", 1.0)):
        for match in form.finditer(text, start, stop):
            yield *match.span(), kind, weight
    joiners = list(_JOINERS.finditer(text, start, stop))
    if len(joiners) >= _FEWEST_JOINERS:
        yield joiners[0].start(), joiners[-1].end(), "zero_width", 0.5
    if turned := _TURNED.search(text, start, stop):
        yield *turned.span(), "turned_around", 0.5


def find_encoded(text: str, start: int, stop: int) -> Iterator[tuple[int, int, str]]:
    """What is written as base64 and reads as text, and what it says."""
    for number, match in enumerate(_BASE64.finditer(text, start, stop)):
        if number >= _MOST_BASE64:
            return
        row = match[0].translate(_URL_SAFE)
        try:
            said = b64decode(row[: len(row) // 4 * 4]).decode()
        except (Error, UnicodeDecodeError):
            continue
        if all(sign.isprintable() or sign.isspace() for sign in said):
            yield *match.span(), said
