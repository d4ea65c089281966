"""Handshake: what both sides say before there are chunks (RTMP §5.2), simple, and with digests as Flash has it.

A digest proves nothing but that the other side knows keys which are public. Some players refuse a server without one. That of
version 9 of the Flash player (FP9) is what nginx-rtmp and ffmpeg have: the first 32 of a block of 1536 bytes that are a HMAC of
the rest, at a place that four other bytes of it tell, by one of two schemes.
"""

import hashlib
import hmac
from typing import Final

from marchproxy.wire.fault import ProtocolFault

#: Bytes of C1, S1, C2 and S2.
BLOCK: Final = 1536
#: Random bytes that each side brings: a block without its two first fields.
NOISE: Final = BLOCK - 8
_VERSION: Final = 3
_DIGEST: Final = 32
#: Where the four bytes are that tell where the digest is: the first scheme's, then the other's.
_SCHEMES: Final = (772, 8)
_PLACES: Final = 728
_NO_DIGEST: Final = -1

_MORE_KEY = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_PLAYER = b"Genuine Adobe Flash Player 001"
_SERVER = b"Genuine Adobe Flash Media Server 001"
_PLAYER_KEY, _SERVER_KEY = _PLAYER + _MORE_KEY, _SERVER + _MORE_KEY
#: The versions that we say with a digest; any that is not 0 asks for one.
_OUR_PLAYER, _OUR_SERVER = bytes((9, 0, 124, 2)), bytes((3, 0, 1, 1))


class ServerHandshake:
    """The server's side, which answers as the client asks. `noise`: NOISE random bytes."""

    __slots__ = ("_answered", "_held", "_noise", "digest", "done", "leftover")

    def __init__(self, noise: bytes) -> None:
        self._noise = _checked(noise)
        self._held = b""
        self._answered = False
        self.digest = False
        """Whether the client brought a digest."""
        self.done = False
        self.leftover = b""
        """When done: what came behind the handshake."""

    def feed(self, data: bytes) -> bytes:
        """What to send. Raises ProtocolFault. Not to be called when done."""
        data = self._held + data
        _check_version(data)
        answer = b""
        if not self._answered:
            if len(data) <= BLOCK:
                self._held = data
                return b""
            answer = bytes((_VERSION,)) + self._answer(data[1 : 1 + BLOCK])
            self._answered = True
        if len(data) <= 2 * BLOCK:
            self._held = data
        else:  # C2 is not looked at: players err in it, and it proves nothing
            self._held, self.leftover, self.done = b"", data[1 + 2 * BLOCK :], True
        return answer

    def _answer(self, asked: bytes) -> bytes:
        scheme, at = find_digest(asked, _PLAYER) if asked[4] else (0, _NO_DIGEST)
        if at == _NO_DIGEST:
            return bytes(8) + self._noise + asked
        self.digest = True
        ours = with_digest(bytes(4) + _OUR_SERVER + self._noise, scheme, _SERVER)
        return ours + respond(self._noise, asked[at : at + _DIGEST], _SERVER_KEY)


class ClientHandshake:
    """The client's side. `noise`: NOISE random bytes. `digest`: whether to bring one; most servers do without."""

    __slots__ = ("_digest", "_held", "_noise", "done", "leftover")

    def __init__(self, noise: bytes, *, digest: bool = False) -> None:
        self._noise = _checked(noise)
        self._digest = digest
        self._held = b""
        self.done = False
        self.leftover = b""
        """When done: what came behind the handshake."""

    def begin(self) -> bytes:
        """What to send first."""
        if not self._digest:
            return bytes((_VERSION,)) + bytes(8) + self._noise
        return bytes((_VERSION,)) + with_digest(bytes(4) + _OUR_PLAYER + self._noise, 1, _PLAYER)

    def feed(self, data: bytes) -> bytes:
        """What to send. Raises ProtocolFault. Not to be called when done."""
        data = self._held + data
        _check_version(data)
        if len(data) <= 2 * BLOCK:
            self._held = data
            return b""
        self._held, self.leftover, self.done = b"", data[1 + 2 * BLOCK :], True
        theirs = data[1 : 1 + BLOCK]
        if self._digest and theirs[4]:
            _, at = find_digest(theirs, _SERVER)
            if at != _NO_DIGEST:
                return respond(self._noise, theirs[at : at + _DIGEST], _PLAYER_KEY)
        return theirs


def find_digest(block: bytes, key: bytes) -> tuple[int, int]:
    """By which scheme a block has a digest, and where; -1 where it has none."""
    for scheme in range(len(_SCHEMES)):
        at = _place(block, scheme)
        if hmac.compare_digest(_mac(key, block[:at] + block[at + _DIGEST :]), block[at : at + _DIGEST]):
            return scheme, at
    return 0, _NO_DIGEST


def with_digest(block: bytes, scheme: int, key: bytes) -> bytes:
    """The block with its digest in it."""
    at = _place(block, scheme)
    before, behind = block[:at], block[at + _DIGEST :]
    return before + _mac(key, before + behind) + behind


def respond(noise: bytes, digest: bytes, key: bytes) -> bytes:
    """The block that answers a digest: random, with a HMAC at its end whose key is a HMAC of the digest."""
    begin = (noise + noise[:8])[: BLOCK - _DIGEST]
    return begin + _mac(_mac(key, digest), begin)


def _place(block: bytes, scheme: int) -> int:
    base = _SCHEMES[scheme]
    return sum(block[base : base + 4]) % _PLACES + base + 4


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, hashlib.sha256)


def _check_version(data: bytes) -> None:
    if data and data[0] != _VERSION:
        what = "RTMPE, which is not spoken here: use RTMPS" if data[0] in {6, 8} else "no RTMP"
        raise ProtocolFault(f"a handshake of version {data[0]} is {what}")


def _checked(noise: bytes) -> bytes:
    if len(noise) != NOISE:
        raise ValueError(f"{len(noise)} bytes of noise; a handshake takes {NOISE}")
    return noise
