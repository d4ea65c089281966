"""JSON as it is sent: an object whose members know where they stand in it, so that one is changed and the others are not.

Stricter than the standard library: UTF-8 only, no NaN, no number beyond a double, no member twice in the object itself
(who reads the first and who the last would see two requests: a way past the permissions of a key).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json.decoder import JSONDecodeError
from typing import Any, NoReturn, TypeVar

_T = TypeVar("_T")
_SPACE = re.compile(r"[ \t\n\r]*")
_SPACES = frozenset(" \t\n\r")
_MEMBER = re.compile(r'[ \t\n\r]*,[ \t\n\r]*"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_NAME = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')


class BadJson(ValueError):
    """It is no JSON, or none that is taken. The words say what is wrong and where."""


def _constant(word: str) -> NoReturn:
    raise BadJson(f"{word} is no JSON")


def _number(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise BadJson(f"the number {digits[:20]} is too large")
    return value


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_float=_number)
#: As `raw_decode`, without a function around it: raises StopIteration where no value begins.
_scan: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined] # typeshed forgets it
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_ESCAPED = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def load(data: bytes) -> Any:
    """Any JSON value. Raises BadJson."""
    return _strictly(_DECODER.decode, data)


def load_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises BadJson."""
    value = load(data)
    if not isinstance(value, dict):
        raise BadJson("it is no object")
    return value


def dump(value: object) -> bytes:
    """Compact JSON; half a surrogate pair, which no UTF-8 can have, stays escaped. Raises BadJson when nested too deep."""
    try:
        return _COMPACT.encode(value).encode()
    except UnicodeEncodeError:
        return _ESCAPED.encode(value).encode()
    except RecursionError:
        raise BadJson("it is nested too deep") from None


def _strictly(parse: Callable[[str], _T], data: bytes) -> _T:
    try:
        return parse(data.decode())
    except UnicodeDecodeError as error:
        raise BadJson(f"it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise BadJson("it is nested too deep") from None
    except JSONDecodeError as error:
        raise BadJson(f"{error.msg} at character {error.pos}") from None
    except BadJson:
        raise
    except ValueError:
        raise BadJson("a number has too many digits") from None


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Body:
    """A JSON object as it came: `members`, and where the value of each stands in `text`."""

    text: str
    members: dict[str, Any]
    _spans: dict[str, tuple[int, int]]
    _end: int

    @staticmethod
    def read(data: bytes) -> "Body":
        """Raises BadJson."""
        return _strictly(_read, data)

    def raw(self, name: str) -> str:
        """The member's value as it was written; empty: there is none."""
        start, end = self._spans.get(name, (0, 0))
        return self.text[start:end]

    def place(self, name: str) -> tuple[int, int]:
        """Where the member's value begins and ends, in bytes; (0, 0): there is none."""
        start, end = self._spans.get(name, (0, 0))
        if self.text.isascii():
            return start, end
        before = len(self.text[:start].encode())
        return before, before + len(self.text[start:end].encode())

    def replaced(self, values: Mapping[str, object]) -> bytes:
        """With these members changed, or added at the end, and every other byte as it came. Raises BadJson."""
        changes = [(*self._spans[name], dump(value)) for name, value in values.items() if name in self._spans]
        added = [
            b"%b:%b" % (dump(name), dump(value)) for name, value in values.items() if name not in self._spans
        ]
        if added:
            comma = b"," if self.members else b""
            changes.append((self._end, self._end, comma + b",".join(added)))
        return self._spliced(sorted(changes))

    def _spliced(self, changes: list[tuple[int, int, bytes]]) -> bytes:
        parts: list[bytes] = []
        at = 0
        for start, end, value in changes:
            parts += (self.text[at:start].encode(), value)
            at = end
        return b"".join((*parts, self.text[at:].encode()))


def _read(text: str) -> Body:
    at = _after_space(text, 0)
    if text[at : at + 1] != "{":
        raise BadJson("it is no object")
    members: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    at = _after_space(text, at + 1)
    while True:
        if usual := _MEMBER.match(text, at) if members else None:  # nearly always, but for the first
            name, at = usual[1], usual.end()
        elif text[(at := _after_space(text, at)) : at + 1] == "}":
            break
        elif members:
            name, at = _read_name(text, _after_space(text, _expect(text, at, ",")))
        else:
            name, at = _read_name(text, at)
        if name in members:
            raise BadJson(f"{name[:50]!r} is there twice")
        try:
            members[name], end = _scan(text, at)
        except StopIteration as nothing:
            raise JSONDecodeError("Expecting value", text, nothing.value) from None
        spans[name] = (at, end)
        at = end
    if _after_space(text, at + 1) != len(text):
        raise BadJson(f"something follows the object at character {at + 1}")
    return Body(text, members, spans, _last_end(spans, at))


def _read_name(text: str, at: int) -> tuple[str, int]:
    """A member's name, and where its value begins."""
    if usual := _NAME.match(text, at):
        return usual[1], usual.end()
    _expect(text, at, '"')
    name, at = _DECODER.raw_decode(text, at)
    return name, _after_space(text, _expect(text, _after_space(text, at), ":"))


def _last_end(spans: dict[str, tuple[int, int]], brace: int) -> int:
    """Where a member more is written: behind the last value, or before the brace."""
    return next(reversed(spans.values()))[1] if spans else brace


def _after_space(text: str, at: int) -> int:
    if text[at : at + 1] not in _SPACES:  # nearly always
        return at
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise BadJson(f"{sign} is missing at character {at}")
    return at + 1
