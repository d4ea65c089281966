"""Greeting: how a client proves who it is. It never learns whether a user exists."""

import asyncio
import os
import secrets
from collections.abc import Callable
from enum import Enum

from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.dblb.postgres.login import Proof
from marchproxy.modules.dblb.postgres.scram_keys import ScramKeys
from marchproxy.modules.dblb.postgres.secrets import Secret
from marchproxy.modules.dblb.scram import ScramFault, begin
from marchproxy.modules.dblb.verifiers import POSTGRES
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode

#: The one type of message that a client sends while it logs in.
KINDS = b"p"
_SCRAM = "SCRAM-SHA-256"


class Way(Enum):
    """How a client shows its password."""

    TRUST = "trust"
    SCRAM = "scram-sha-256"
    MD5 = "md5"
    PASSWORD = "password"  # noqa: S105 - in the clear; over TLS only


class NotProven(Exception):
    """The client did not prove who it says it is."""


async def authenticate(
    inbox: Inbox, send: Callable[[bytes], object], user: str, secret: Secret | None, way: Way
) -> Proof:
    """What proves to servers what the client has proven, that it is `user`; empty: nothing that is known does.

    `secret` None: there is no such user. Raises NotProven, ProtocolFault, PeerGone. The caller sets the deadline.
    """
    proof: Proof = secret.password if secret is not None else ""
    match way:
        case Way.TRUST:
            proven = secret is not None
        case Way.SCRAM:
            keys = await _scram(inbox, send, user, secret)
            proven, proof = keys is not None, proof or keys or ""
        case Way.MD5:
            salt = os.urandom(4)
            send(encode.challenge(5, salt))
            answer = await _text(inbox)
            proven = secret is not None and secret.fits_md5(user, salt, answer)
        case Way.PASSWORD:
            send(encode.challenge(3))
            password = (await _text(inbox)).decode(errors="replace")
            known = secret or Secret(
                secrets.token_urlsafe(18)
            )  # it takes as long for a user that there is not
            fits = await asyncio.to_thread(known.fits_password, user, password)
            proven, proof = secret is not None and fits, password
    if not proven:
        raise NotProven(f'password authentication failed for user "{user}"')
    return proof


async def _scram(
    inbox: Inbox, send: Callable[[bytes], object], user: str, secret: Secret | None
) -> ScramKeys | None:
    verifier = await asyncio.to_thread(lambda: secret.verifier) if secret is not None else None
    send(encode.challenge(10, _SCRAM.encode() + b"\0\0"))
    mechanism, first = _first((await inbox.next())[5:])
    if mechanism != _SCRAM:
        raise ProtocolFault(f"SASL mechanism {mechanism!r} was not offered")
    try:
        exchange = begin(first, verifier or POSTGRES.pretended(user), secrets.token_urlsafe(18))
        send(encode.challenge(11, exchange.challenge.encode()))
        final = (await inbox.next())[5:].decode(errors="replace")
        answer, key = exchange.judge(final), exchange.client_key(final)
    except ScramFault as fault:
        raise ProtocolFault(f"SCRAM: {fault}") from fault
    if answer is None or key is None or verifier is None:
        return None
    send(encode.challenge(12, answer.encode()))
    return ScramKeys(key, verifier.server_key, verifier.salt, verifier.rounds)


def _first(body: bytes) -> tuple[str, str]:
    """Of a SASLInitialResponse the mechanism and the client's first message."""
    name, zero, rest = body.partition(b"\0")
    if not zero or len(rest) < 4 or int.from_bytes(rest[:4]) != len(rest) - 4:
        raise ProtocolFault("the first SASL message is not well formed")
    return name.decode(errors="replace"), rest[4:].decode(errors="replace")


async def _text(inbox: Inbox) -> bytes:
    message = await inbox.next()
    if not message.endswith(b"\0"):
        raise ProtocolFault("a password ends with a zero byte")
    return message[5:-1]
