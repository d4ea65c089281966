"""Credentials: the files of the ways to authenticate, read and judged before Envoy sees them.

Whatever a fault says, it never tells a secret.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.problem import Problem

_MOST_BYTES = 1 << 20
_SHA1 = 20
_USER = re.compile(r"(?P<user>[^:\s]+):\{SHA\}(?P<digest>[A-Za-z0-9+/=]+)")
_KEY = re.compile(r"(?P<client>[^:\s]+):(?P<key>\S+)")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A way to authenticate, with the lines of its file: of users, of keys by client, or a JWKS as one."""

    way: Authentication
    lines: tuple[str, ...] = field(repr=False)


class UnreadableCredentials(Exception):
    """Files that cannot be used; `problems` has the place in the document, and never a secret."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def read_credentials(ways: Iterable[Authentication]) -> Mapping[str, Credentials]:
    """The credentials of each way of HTTP by name. Raises UnreadableCredentials with every fault of every file."""
    found: dict[str, Credentials] = {}
    problems: list[Problem] = []
    for index, way in enumerate(ways):
        if not way.kind.of_http:
            continue
        if way.jwks_url:
            found[way.name] = Credentials(way, ())  # Envoy fetches the keys
            continue
        path = f"authentication[{index}].file"
        try:
            lines = _lines(way)
        except (OSError, UnicodeDecodeError, _TooLong) as error:
            problems.append(Problem(path, f"cannot read {way.file}: {_reason(error)}"))
            continue
        faults = [Problem(path, f"{way.file}: {fault}") for fault in _faults(way, lines)]
        problems += faults
        if not faults:
            found[way.name] = Credentials(way, lines)
    if problems:
        raise UnreadableCredentials(tuple(problems))
    return found


class _TooLong(Exception):
    pass


def _reason(error: Exception) -> str:
    match error:
        case OSError():
            return error.strerror or str(error)
        case UnicodeDecodeError():
            return "not UTF-8"
        case _:
            return f"longer than {_MOST_BYTES} bytes"


def _lines(way: Authentication) -> tuple[str, ...]:
    with Path(way.file).open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise _TooLong
    text = data.decode()
    if way.kind is AuthenticationKind.JWT:
        return (text,)
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _faults(way: Authentication, lines: tuple[str, ...]) -> Iterator[str]:
    if not lines:
        yield "has no entry"
    match way.kind:
        case AuthenticationKind.BASIC:
            yield from _line_faults(lines, _USER, "user:{SHA}digest, as `htpasswd -s` writes it")
            yield from _repeated(lines, 0, "user")
        case AuthenticationKind.API_KEY:
            yield from _line_faults(lines, _KEY, "name:key")
            yield from _repeated(lines, 1, "key")
        case AuthenticationKind.JWT:
            yield from _jwks_faults("".join(lines))
        case other:
            yield f"{other.value} is not for routes of HTTP"


def _line_faults(lines: Iterable[str], pattern: re.Pattern[str], shape: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        entry = pattern.fullmatch(line)
        if entry is None or not _is_sha1(entry.groupdict().get("digest")):
            yield f"entry {number} is not {shape}"


def _is_sha1(digest: str | None) -> bool:
    if digest is None:
        return True
    try:
        return len(base64.b64decode(digest, validate=True)) == _SHA1
    except binascii.Error:
        return False


def _repeated(lines: Iterable[str], part: int, word: str) -> Iterator[str]:
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        value = line.partition(":")[2 * part]
        if first.setdefault(value, number) != number:
            yield f"entry {number} has the {word} of entry {first[value]}"


def _jwks_faults(text: str) -> Iterator[str]:
    try:
        keys = json.loads(text)["keys"]
    except (ValueError, KeyError, TypeError):
        yield 'is not a JWKS, a JSON object with "keys" (RFC 7517)'
        return
    if (
        not isinstance(keys, list)
        or not keys
        or not all(isinstance(key, dict) and "kty" in key for key in keys)
    ):
        yield "has no keys, or one without its type (kty)"
