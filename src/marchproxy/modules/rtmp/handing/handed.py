"""Handed: what one worker tells another of a client that goes over to it, as bytes. Pure.

Length (4 bytes) and JSON of who it is, then all bytes that it has sent since the handshake.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from marchproxy.modules.rtmp.session.dialogue import MOST_RECORDED

#: Bytes that say how many follow.
PREFIX: Final = 4
_LONGEST_WHO: Final = 4096


class Garbled(Exception):
    """That is no client that was handed over."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A client. `piped`: its bytes come by the same connection, for it talks TLS to the worker that accepted it."""

    host: str
    port: int
    came_to: int
    secure: bool = False
    certificate_user: str = ""
    piped: bool = False
    size: int = 0
    """Of what it has sent."""


_WHO = TypeAdapter(Handed)


def encode(handed: Handed, recorded: bytes) -> bytes:
    """As bytes; `size` must be that of `recorded`."""
    who = _WHO.dump_json(handed)
    return len(who).to_bytes(PREFIX) + who + recorded


def length_of(prefix: bytes) -> int:
    """How many bytes tell who it is. Raises Garbled."""
    size = int.from_bytes(prefix)
    if not 0 < size <= _LONGEST_WHO:
        raise Garbled(f"{size} bytes to say who it is")
    return size


def read_who(data: bytes) -> Handed:
    """Who it is. Raises Garbled."""
    try:
        handed = _WHO.validate_json(data)
    except ValidationError as error:
        raise Garbled(str(error)) from error
    if not 0 <= handed.size <= MOST_RECORDED:
        raise Garbled(f"{handed.size} bytes that were said")
    return handed
