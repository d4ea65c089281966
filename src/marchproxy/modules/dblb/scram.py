"""SCRAM, the side of the server (RFC 5802, RFC 7677). Pure.

The library that does the client's side refuses an empty user name, which is what PostgreSQL's own clients send: there the
name stands in the startup message. https://www.postgresql.org/docs/current/sasl-authentication.html
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field

#: Without channel binding, which a proxy cannot pass on; `y`: the client could, and saw that we do not offer it.
_FIRST = re.compile(
    r"(?P<header>[ny],(?:a=[^,]*)?,)(?P<bare>n=(?P<user>[^,]*),r=(?P<nonce>[!-+\--~]+)(?:,.*)?)"
)
_FINAL = re.compile(
    r"(?P<bare>c=(?P<binding>[^,]*),r=(?P<nonce>[!-+\--~]+)(?:,.*)?),p=(?P<proof>[A-Za-z0-9+/=]+)"
)


class ScramFault(Exception):
    """What the client sent is not SCRAM, or asks for more than is offered."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password: not enough to log in with."""

    salt: bytes
    rounds: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A login under way, after the client's first message. `user` may be empty."""

    user: str
    challenge: str
    verifier: Verifier
    _header: str
    _bare: str
    _nonce: str

    def judge(self, final: str) -> str | None:
        """The answer to the client's final message; None when it does not prove the password. Raises ScramFault."""
        key = self.client_key(final)
        if key is None:
            return None
        message = self._message(_final(final)["bare"])
        return "v=" + base64.b64encode(hmac.digest(self.verifier.server_key, message, "sha256")).decode()

    def client_key(self, final: str) -> bytes | None:
        """What the client's final message shows of its password: enough to log in elsewhere as it does. Raises ScramFault."""
        found = _final(final)
        proof = _decoded(found["proof"])
        if _decoded(found["binding"]) != self._header.encode() or found["nonce"] != self._nonce:
            raise ScramFault("the final message belongs to another login")
        message = self._message(found["bare"])
        signature = hmac.digest(self.verifier.stored_key, message, "sha256")
        if len(proof) != len(signature):
            return None
        key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(key).digest(), self.verifier.stored_key):
            return None
        return key

    def _message(self, bare: str) -> bytes:
        return f"{self._bare},{self.challenge},{bare}".encode()


def begin(first: str, verifier: Verifier, nonce: str) -> Exchange:
    """What becomes of a client's first message; `nonce` is ours, and random. Raises ScramFault."""
    found = _FIRST.fullmatch(first)
    if found is None:
        raise ScramFault("the first message is not well formed, or asks for channel binding")
    both = found["nonce"] + nonce
    challenge = f"r={both},s={base64.b64encode(verifier.salt).decode()},i={verifier.rounds}"
    return Exchange(found["user"], challenge, verifier, found["header"], found["bare"], both)


def user_of(first: str) -> str:
    """Whom a client's first message names. Raises ScramFault."""
    found = _FIRST.fullmatch(first)
    if found is None:
        raise ScramFault("the first message is not well formed, or asks for channel binding")
    return found["user"].replace("=2C", ",").replace("=3D", "=")


def _final(final: str) -> re.Match[str]:
    found = _FINAL.fullmatch(final)
    if found is None:
        raise ScramFault("the final message is not well formed")
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ScramFault("the final message is not base64 where it should be") from error
