"""Values: the few that a proxy reads and writes itself. Replies of a server that are small, and commands."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from marchproxy.wire.fault import ProtocolFault

_DEEPEST = 16


class Failure(bytes):
    """An error that a server answers."""

    __slots__ = ()


#: A value: text, a number, nothing, or several. Maps are flat lists of keys and values; an error is a Failure.
Value: TypeAlias = "bytes | int | list[Value] | None"


def encode(words: Sequence[bytes]) -> bytes:
    """A command."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def words_of(command: bytes) -> list[bytes]:
    """The words of a whole command. Raises ProtocolFault."""
    value, _ = read(command)
    if not isinstance(value, list):
        raise ProtocolFault("a command is an array")
    return [word for word in value if isinstance(word, bytes)]


def error(text: str) -> bytes:
    """An error, as a server would answer it; the text begins with its code."""
    return b"-" + text.replace("\r", " ").replace("\n", " ").encode() + b"\r\n"


def bulk(text: bytes | None, *, version: int) -> bytes:
    """A string, or none."""
    if text is None:
        return b"_\r\n" if version == 3 else b"$-1\r\n"
    return b"$%d\r\n%b\r\n" % (len(text), text)


def mapping(items: Iterable[tuple[bytes, bytes | int]], *, version: int) -> bytes:
    """A map; in RESP2 an array of its keys and values."""
    pairs = list(items)
    head = b"%%%d\r\n" % len(pairs) if version == 3 else b"*%d\r\n" % (2 * len(pairs))
    return head + b"".join(bulk(key, version=version) + _one(value, version=version) for key, value in pairs)


def _one(value: bytes | int, *, version: int) -> bytes:
    return b":%d\r\n" % value if isinstance(value, int) else bulk(value, version=version)


def read(data: bytes, at: int = 0, depth: int = 0) -> tuple[Value, int]:
    """A whole value and where it ends. Raises ProtocolFault; give it what was found to be whole."""
    end = data.find(b"\r\n", at)
    if end < 0 or depth > _DEEPEST:
        raise ProtocolFault("a value is not whole, or nested too deep")
    kind, text, at = data[at : at + 1], data[at + 1 : end], end + 2
    if kind == b"-":
        return Failure(text), at
    if kind in (b"+", b"#", b",", b"("):
        return text, at
    if kind == b"_":
        return None, at
    size = _number(text)
    if kind == b":":
        return size, at
    if kind in (b"$", b"=", b"!"):
        return (None, at) if size < 0 else (data[at : at + size], at + size + 2)
    if kind not in (b"*", b"~", b"%", b">"):
        raise ProtocolFault("a value of no known type")
    values: list[Value] = []
    for _ in range(size * 2 if kind == b"%" else size):
        value, at = read(data, at, depth + 1)
        values.append(value)
    return values, at


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError as fault:
        raise ProtocolFault("a length is not a number") from fault
