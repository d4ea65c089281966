"""Checks of headers that are written: names, values, and edits of them."""

import re
from collections.abc import Iterator, Sequence

from marchproxy.model.http import HeaderEdits
from marchproxy.model.problem import Problem

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, section 5.5: what may not stand in a value
_LONGEST_VALUE = 4096
#: Of one connection (RFC 9110, section 7.6.1), or what tells where a message ends: not for edits.
_OF_CONNECTION = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def is_token(text: str) -> bool:
    """Whether this can be the name of a header, a method or a cookie."""
    return _TOKEN.fullmatch(text) is not None


def check_header_name(name: str, path: str) -> Iterator[Problem]:
    """Faults of the name of a header that is written or removed."""
    if not is_token(name):
        yield Problem(path, f'"{name}" is not a header name')
    elif name.lower() in _OF_CONNECTION:
        yield Problem(path, f"{name} belongs to the connection, not to the message")
    elif name.lower() == "host":
        yield Problem(path, "the host that a backend is asked for is set with rewrite.host")


def check_edits(edits: HeaderEdits, path: str) -> Iterator[Problem]:
    """Faults of edits of headers."""
    yield from _check_pairs(edits.set, f"{path}.set")
    yield from _check_pairs(edits.add, f"{path}.add")
    for number, name in enumerate(edits.remove):
        yield from check_header_name(name, f"{path}.remove[{number}]")
    first: dict[str, str] = {}
    for name, _ in edits.set:
        if name.lower() in first:
            yield Problem(f"{path}.set.{name}", f"the same header as {first[name.lower()]}")
        first.setdefault(name.lower(), name)


def check_content_type(value: str, path: str) -> Iterator[Problem]:
    """Faults of a Content-Type."""
    kind, slash, rest = value.partition("/")
    if not (slash and is_token(kind) and is_token(rest.partition(";")[0].rstrip())):
        yield Problem(path, f'"{value}" is not a content type such as text/html; charset=utf-8')
    yield from _check_value(value, path)


def _check_pairs(pairs: Sequence[tuple[str, str]], path: str) -> Iterator[Problem]:
    for name, value in pairs:
        yield from check_header_name(name, f"{path}.{name}")
        yield from _check_value(value, f"{path}.{name}")


def _check_value(value: str, path: str) -> Iterator[Problem]:
    if _CONTROL.search(value):
        yield Problem(path, "a value has no line breaks and no other control characters")
    if len(value.encode()) > _LONGEST_VALUE:
        yield Problem(path, f"a value has at most {_LONGEST_VALUE} bytes")
