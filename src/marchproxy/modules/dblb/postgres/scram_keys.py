"""SCRAM keys: what a client's login shows of its password, and what is enough to log in where the same verifier is kept. Pure.

https://www.rfc-editor.org/rfc/rfc5802#section-3
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

_FIRST = re.compile(r"r=(?P<nonce>[!-+\--~]+),s=(?P<salt>[A-Za-z0-9+/=]+),i=(?P<rounds>\d+)")


class OtherVerifier(Exception):
    """The server's verifier of the user is another one, or what it says is no SCRAM."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """Of a user; for servers that keep its verifier with this salt and number of rounds."""

    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    salt: bytes
    rounds: int


@dataclass(frozen=True, slots=True)
class KeyedLogin:
    """A login at a server with the user's keys; `nonce` is ours, and random."""

    keys: ScramKeys = field(repr=False)
    nonce: str

    @property
    def first(self) -> str:
        """What is said first, without the name, which stands in the startup message."""
        return f"n,,n=,r={self.nonce}"

    def answer(self, challenge: str) -> tuple[str, str]:
        """What is said to the server's challenge, and what it must say then. Raises OtherVerifier."""
        found = _FIRST.fullmatch(challenge)
        if found is None or not found["nonce"].startswith(self.nonce):
            raise OtherVerifier("the server's challenge is not well formed")
        if (base64.b64decode(found["salt"]), int(found["rounds"])) != (self.keys.salt, self.keys.rounds):
            raise OtherVerifier(
                "the server keeps another verifier of the user than the one that is known here"
            )
        bare = f"c=biws,r={found['nonce']}"
        message = f"n=,r={self.nonce},{challenge},{bare}".encode()
        signature = hmac.digest(hashlib.sha256(self.keys.client_key).digest(), message, "sha256")
        proof = bytes(one ^ other for one, other in zip(self.keys.client_key, signature, strict=True))
        wanted = base64.b64encode(hmac.digest(self.keys.server_key, message, "sha256")).decode()
        return f"{bare},p={base64.b64encode(proof).decode()}", f"v={wanted}"
