"""Verifiers: what is kept of passwords for SCRAM-SHA-256: read, made, and made up for users that there are not."""

import base64
import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field

from scramp import ScramMechanism

from marchproxy.modules.dblb.scram import Verifier

_WRITTEN = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class Manner:
    """How servers of a kind make verifiers: the bytes of a salt, and the rounds. A made-up one differs in nothing else."""

    salt_bytes: int
    rounds: int
    _pretence: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    """One for each manner: made-up salts that begin alike at two ports would tell that they are."""

    def verifier(self, password: str) -> Verifier:
        """Of a password, with a salt of its own. Takes milliseconds."""
        salt, stored, server, rounds = ScramMechanism("SCRAM-SHA-256").make_auth_info(
            password, iteration_count=self.rounds, salt=os.urandom(self.salt_bytes)
        )
        return Verifier(salt, rounds, stored, server)

    def pretended(self, user: str) -> Verifier:
        """For a user that there is not: the same salt each time, and keys that nothing fits."""
        salt = hmac.digest(self._pretence, user.encode(), hashlib.sha256)[: self.salt_bytes]
        return Verifier(salt, self.rounds, os.urandom(32), os.urandom(32))


POSTGRES = Manner(16, 4096)
MONGODB = Manner(28, 15000)


def is_verifier(text: str) -> bool:
    """Whether a secret is a verifier, as PostgreSQL writes them (`SCRAM-SHA-256$…`)."""
    return _WRITTEN.fullmatch(text) is not None


def read_verifier(text: str) -> Verifier | None:
    """The verifier that is written like this; None: it is something else."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    rounds, *rest = found.groups()
    salt, stored, server = map(base64.b64decode, rest)
    return Verifier(salt, int(rounds), stored, server)
