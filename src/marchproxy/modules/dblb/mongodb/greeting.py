"""Greeting: how a client proves who it is, by SCRAM-SHA-256 or its certificate. It never learns whether a user exists. Pure but for the dice.

https://github.com/mongodb/specifications/blob/master/source/auth/auth.md
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from marchproxy.modules.dblb.mongodb.door import Door, Known
from marchproxy.modules.dblb.mongodb.errors import Fault, document
from marchproxy.modules.dblb.mongodb.visits import Guest
from marchproxy.modules.dblb.scram import Exchange, ScramFault, begin, user_of
from marchproxy.modules.dblb.verifiers import MONGODB
from marchproxy.wire.mongodb import bson
from marchproxy.wire.mongodb.bson import Place, Value
from marchproxy.wire.mongodb.command import Command

MECHANISM = "SCRAM-SHA-256"
COMMANDS = frozenset({"saslStart", "saslContinue", "authenticate"})
_BY_CERTIFICATE = "MONGODB-X509"
_FAILED = document(Fault.AUTHENTICATION, "Authentication failed.")


class Greeting:
    """The logins of one connection, one after the other; `guest` is who it is by now, `password` its own if it is known."""

    __slots__ = ("_exchange", "_known", "_short", "_waits_for_nothing", "guest", "password")

    def __init__(self, door: Door) -> None:
        self._exchange: Exchange | None = None
        self._known: Known | None = None
        self._short = False
        self._waits_for_nothing = False
        self.guest = Guest(door)
        self.password = ""

    def hear(self, command: Command) -> dict[str, Value]:
        """The answer to saslStart or saslContinue."""
        payload = bson.binary(command.data, command.places.get(b"payload")) or b""
        if command.name == "authenticate":
            return self._certified(command) or _FAILED
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
        if mechanism != MECHANISM:
            return None
        first = payload.decode(errors="replace")
        try:
            user = user_of(first)
            self._known = self.guest.door.known(user)
            verifier = self._known.verifier if self._known is not None else MONGODB.pretended(user)
            self._exchange = begin(first, verifier, secrets.token_urlsafe(24))
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
        if answer is None or self._known is None:
            return None
        user = exchange.user.replace("=2C", ",").replace("=3D", "=")
        self.guest = replace(self.guest, user=user, proofs=self._known.proofs)
        self.password = self._known.password
        self._waits_for_nothing = not self._short
        return _said(answer, done=self._short)

    def _certified(self, command: Command) -> dict[str, Value] | None:
        door = self.guest.door
        proofs = door.certified()
        if command.text(b"mechanism") != _BY_CERTIFICATE or not proofs:
            return None
        self.guest, self.password = replace(self.guest, user=door.certificate_user, proofs=proofs), ""
        return {"dbname": "$external", "user": door.certificate_user, "ok": 1.0}


def _said(payload: str, *, done: bool) -> dict[str, Value]:
    return {"conversationId": 1, "done": done, "payload": payload.encode(), "ok": 1.0}
