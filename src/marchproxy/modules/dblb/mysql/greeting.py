"""Greeting: how a client proves who it is."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.modules.dblb.mysql.secrets import Secret
from marchproxy.wire.mysql.handshake import NONCE, Login, auth_switch
from marchproxy.wire.mysql.packets import packet
from marchproxy.wire.mysql.proofs import CACHING, NATIVE, fits_caching, fits_native, masked

OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - the protocol's own choice
_FAST, _FULL = b"\x01\x03", b"\x01\x04"
_WANTS_KEY = b"\x02"


class NotProven(Exception):
    """The client did not prove who it says it is."""


def new_nonce() -> bytes:
    """Twenty bytes, none of them zero, none a character that a client might take for an end."""
    return bytes(33 + byte % 94 for byte in os.urandom(NONCE))


class PasswordKey:
    """The pair of keys under which clients send passwords where there is no TLS."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def decrypt(self, words: bytes) -> bytes:
        """What a client has encrypted. Raises NotProven."""
        try:
            return self._key.decrypt(words, OAEP)
        except ValueError as error:
            raise NotProven from error


@dataclass
class Talk:
    """The words with a client that logs in; `sequence` is of the last packet."""

    inbox: Inbox
    send: Callable[[bytes], object]
    key: PasswordKey
    encrypted: bool = False
    sequence: int = -1

    def say(self, payload: bytes) -> None:
        """Send a packet."""
        self.sequence += 1
        self.send(packet(self.sequence, payload))

    async def hear(self) -> bytes:
        """The next packet's payload. Raises ProtocolFault, PeerGone."""
        self.sequence, payload = await self.inbox.next()
        return payload


async def authenticate(talk: Talk, login: Login, secret: Secret | None, plugin: str, nonce: bytes) -> None:
    """Return when the client has proven to be `login.user`; `secret` None: there is no such user.

    `plugin` is the way that was offered, with `nonce`; no nonce: it is still to be. Raises NotProven, ProtocolFault,
    PeerGone. The caller sets the deadline.
    """
    known = secret if secret is not None else Secret(os.urandom(16).hex())
    proof = login.proof
    if (login.plugin != plugin and (login.plugin or plugin != NATIVE)) or not nonce:
        nonce = new_nonce()
        talk.say(auth_switch(plugin, nonce))
        proof = await talk.hear()
    if plugin == CACHING:
        proven = await _caching(talk, known, nonce, proof)
    else:
        proven = fits_native(known.native, nonce, proof) if not known.empty else not proof
    if not proven or secret is None:
        raise NotProven


def trust(talk: Talk, login: Login) -> None:
    """The client has nothing to prove: end the exchange that it has begun with its proof."""
    if login.plugin == CACHING and login.proof.rstrip(b"\0"):
        talk.say(_FAST)


async def _caching(talk: Talk, secret: Secret, nonce: bytes, proof: bytes) -> bool:
    if secret.empty or not proof.rstrip(b"\0"):
        return secret.empty and not proof.rstrip(b"\0")
    if secret.cached and fits_caching(secret.cached, nonce, proof):
        talk.say(_FAST)
        return True
    if secret.cached and not secret.is_stored:
        return False
    talk.say(_FULL)
    words = await talk.hear()
    if not talk.encrypted:
        if words == _WANTS_KEY:
            talk.say(b"\x01" + talk.key.public)
            words = await talk.hear()
        words = masked(talk.key.decrypt(words), nonce)
    return words.endswith(b"\0") and await asyncio.to_thread(secret.shown, words[:-1])
