"""Greeting: how a client proves who it is, by SCRAM-SHA-256. It never learns whether a user exists. Pure but for the dice.

https://github.com/mongodb/specifications/blob/master/source/auth/auth.md
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping

from marchproxy.modules.dblb.mongodb.errors import Fault, document
from marchproxy.modules.dblb.scram import Exchange, ScramFault, Verifier, begin, user_of
from marchproxy.wire.mongodb import bson
from marchproxy.wire.mongodb.bson import Place, Value
from marchproxy.wire.mongodb.command import Command

MECHANISM = "SCRAM-SHA-256"
COMMANDS = frozenset({"saslStart", "saslContinue"})
_ROUNDS = 15000  # what servers have; a user that there is not must look the same
_PRETENCE = os.urandom(32)
_FAILED = document(Fault.AUTHENTICATION, "Authentication failed.")


class Greeting:
    """The logins of one connection, one after the other; `user` is who it is by now."""

    __slots__ = ("_exchange", "_known", "_short", "_users", "_waits_for_nothing", "user")

    def __init__(self, users: Mapping[str, Verifier]) -> None:
        self._users = users
        self._exchange: Exchange | None = None
        self._known = False
        self._short = False
        self._waits_for_nothing = False
        self.user: str | None = None if users else ""

    def hear(self, command: Command) -> dict[str, Value]:
        """The answer to saslStart or saslContinue."""
        payload = bson.binary(command.data, command.places.get(b"payload")) or b""
        if command.name == "saslStart":
            inner = command.inner(b"options")
            short = bson.number(command.data, inner.get(b"skipEmptyExchange"))
            return self._start(command.text(b"mechanism"), payload, short=bool(short)) or _FAILED
        return self._continue(payload) or _FAILED

    def speculate(self, command: Command) -> dict[str, Value] | None:
        """The answer to a saslStart that came within a hello; None when it leads nowhere, which is no error."""
        places: Mapping[bytes, Place] = command.inner(b"speculativeAuthenticate")
        if b"saslStart" not in places:
            return None
        payload = bson.binary(command.data, places.get(b"payload")) or b""
        return self._start(bson.text(command.data, places.get(b"mechanism")), payload, short=True)

    def _start(self, mechanism: str | None, payload: bytes, *, short: bool) -> dict[str, Value] | None:
        self._exchange, self._waits_for_nothing, self._short = None, False, short
        if mechanism != MECHANISM or not self._users:
            return None
        first = payload.decode(errors="replace")
        try:
            verifier = self._users.get(user_of(first))
            self._known = verifier is not None
            self._exchange = begin(first, verifier or _pretended(user_of(first)), secrets.token_urlsafe(24))
        except ScramFault:
            return None
        return _said(self._exchange.challenge, done=False)

    def _continue(self, payload: bytes) -> dict[str, Value] | None:
        if self._waits_for_nothing:
            self._waits_for_nothing = False
            return _said("", done=True)
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return None
        try:
            answer = exchange.judge(payload.decode(errors="replace"))
        except ScramFault:
            return None
        if answer is None or not self._known:
            return None
        self.user = exchange.user.replace("=2C", ",").replace("=3D", "=")
        self._waits_for_nothing = not self._short
        return _said(answer, done=self._short)


def _said(payload: str, *, done: bool) -> dict[str, Value]:
    return {"conversationId": 1, "done": done, "payload": payload.encode(), "ok": 1.0}


def _pretended(user: str) -> Verifier:
    """For a user that there is not: the same salt each time, and keys that nothing fits."""
    salt = hmac.digest(_PRETENCE, user.encode(), hashlib.sha256)[:28]
    return Verifier(salt, _ROUNDS, os.urandom(32), os.urandom(32))
