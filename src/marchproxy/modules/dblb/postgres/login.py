"""Login: how we prove to a server who we are. https://www.postgresql.org/docs/current/sasl-authentication.html"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from secrets import token_urlsafe
from typing import TypeAlias

from scramp import ScramClient, ScramException

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.dblb.postgres.scram_keys import KeyedLogin, OtherVerifier, ScramKeys
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.backend import ErrorFields, read_challenge, read_error, read_key, read_parameter

#: The types of message that a server may send until it is ready.
KINDS = b"RSKZENv"
_SASL_MORE, _SASL_END = 11, 12
_SCRAM = "SCRAM-SHA-256"
#: SQLSTATEs of a server that begins or ends, and answers nothing else: classes 57P and 58.
GOING = ("57P", "58")
_MD5_HASH = re.compile(r"md5[0-9a-f]{32}")


class LoginRefused(Exception):
    """A server does not let us in; `fields` are its own words, where it had any."""

    def __init__(self, words: str, fields: ErrorFields | None = None) -> None:
        super().__init__(words)
        self.fields = fields


def is_unwell(fault: Exception) -> bool:
    """Whether a session that could not be opened says something of its server, and not only of whom it was for.

    A refusal does so where the server begins or ends. Not where it has too many sessions (53300): it serves those that it
    has, and refuses in the same words who is over the limit of a role or a database, for which nobody else is to pay.
    """
    if not isinstance(fault, LoginRefused):
        return True
    return fault.fields is not None and fault.fields.code.startswith(GOING)


#: What shows a server who somebody is: a password, its MD5 hash (`md5…`), or the keys of SCRAM.
Proof: TypeAlias = str | ScramKeys


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a server, for which database; `options` are settings of the session."""

    user: str
    database: str
    password: Proof = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """A server, how it is reached, and as whom."""

    address: HostPort
    credentials: Credentials
    tls: UpstreamTls | None = None
    statement_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a server says of a session when it is ready: what it reports, and what cancels the session."""

    parameters: dict[str, str]
    process_id: int = 0
    key: bytes = b""


async def log_in(inbox: Inbox, send: Callable[[bytes], object], credentials: Credentials) -> Welcome:
    """Open a session. Raises LoginRefused, ProtocolFault, PeerGone. The caller sets the deadline."""
    options = {"user": credentials.user, "database": credentials.database, **credentials.options}
    send(encode.startup(options))
    await _authenticate(inbox, send, credentials)
    parameters: dict[str, str] = {}
    process_id, key = 0, b""
    while True:
        message = await inbox.next()
        match message[:1]:
            case b"S":
                name, value = read_parameter(message)
                parameters[name] = value
            case b"K":
                process_id, key = read_key(message)
            case b"E":
                raise _refused(message)
            case b"Z":
                return Welcome(parameters, process_id, key)


async def _authenticate(inbox: Inbox, send: Callable[[bytes], object], credentials: Credentials) -> None:
    while True:
        message = await inbox.next()
        if message[:1] == b"E":
            raise _refused(message)
        if message[:1] != b"R":
            continue  # a notice
        challenge = read_challenge(message)
        match challenge.kind:
            case 0:
                return
            case 3:
                send(encode.password(_text(credentials).encode() + b"\0"))
            case 5:
                send(encode.password(md5_answer(credentials, challenge.data[:4]) + b"\0"))
            case 10 if _SCRAM in challenge.mechanisms:
                await _scram(inbox, send, credentials)
            case _:
                raise LoginRefused(
                    f"the server asks for authentication {challenge.kind}, which is not spoken here"
                )


async def _scram(inbox: Inbox, send: Callable[[bytes], object], credentials: Credentials) -> None:
    if isinstance(credentials.password, ScramKeys):
        await _keyed_scram(inbox, send, KeyedLogin(credentials.password, token_urlsafe(18)))
        return
    # the server takes the name from the startup message
    client = ScramClient([_SCRAM], credentials.user, credentials.password)
    try:
        _begin_scram(send, client.get_client_first())
        client.set_server_first(await _sasl(inbox, _SASL_MORE))
        # thousands of rounds of a hash: some milliseconds in which nobody else would be served
        final = await asyncio.to_thread(client.get_client_final)
        send(encode.password(final.encode()))
        client.set_server_final(await _sasl(inbox, _SASL_END))
    except ScramException as error:
        raise LoginRefused(f"SCRAM: {error}") from error


async def _keyed_scram(inbox: Inbox, send: Callable[[bytes], object], login: KeyedLogin) -> None:
    _begin_scram(send, login.first)
    try:
        final, wanted = login.answer(await _sasl(inbox, _SASL_MORE))
    except OtherVerifier as error:
        raise LoginRefused(f"SCRAM: {error}") from error
    send(encode.password(final.encode()))
    if not compare_digest(await _sasl(inbox, _SASL_END), wanted):
        raise LoginRefused("SCRAM: the server does not know the user's password")


def _begin_scram(send: Callable[[bytes], object], words: str) -> None:
    first = words.encode()
    send(encode.password(_SCRAM.encode() + b"\0" + len(first).to_bytes(4) + first))


def _text(credentials: Credentials) -> str:
    if isinstance(credentials.password, str):
        return credentials.password
    raise LoginRefused("the server does not ask by SCRAM, and of the user nothing but its verifier is known")


async def _sasl(inbox: Inbox, wanted: int) -> str:
    message = await inbox.next()
    if message[:1] == b"E":
        raise _refused(message)
    challenge = read_challenge(message)
    if challenge.kind != wanted:
        raise LoginRefused(f"the server sent authentication {challenge.kind} in the middle of SCRAM")
    return challenge.data.decode(errors="replace")


def md5_answer(credentials: Credentials, salt: bytes) -> bytes:
    """What proves a password, or its hash (`md5…`), to a server that asked for MD5 with this salt. Raises LoginRefused."""
    password = _text(credentials)
    if _MD5_HASH.fullmatch(password):
        inner = password[3:]
    else:
        inner = hashlib.md5(f"{password}{credentials.user}".encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode()


def _refused(message: bytes) -> LoginRefused:
    fields = read_error(message)
    return LoginRefused(f"{fields.code} {fields.message}", fields)
