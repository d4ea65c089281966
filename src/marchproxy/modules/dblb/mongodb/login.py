"""Login: how we prove to a server who we are. https://github.com/mongodb/specifications/blob/master/source/auth/auth.md"""

import asyncio
import hashlib
from dataclasses import dataclass, field

from scramp import ScramClient, ScramException

from marchproxy.modules.dblb.mongodb.hello import Facts, read_facts
from marchproxy.modules.dblb.mongodb.link import Conversation
from marchproxy.wire.mongodb import bson, message
from marchproxy.wire.mongodb.command import refusal_of

_STRONG, _WEAK = "SCRAM-SHA-256", "SCRAM-SHA-1"
_MOST_STEPS = 4


class LoginRefused(Exception):
    """A server does not let us in."""


@dataclass(frozen=True, slots=True)
class Login:
    """As whom; without a password nobody is logged in. `offered`: it is the client's own, for a server that knows the user."""

    user: str = ""
    password: str | None = field(default=None, repr=False)
    offered: bool = False


async def log_in(talk: Conversation, login: Login) -> Facts:
    """Say hello, and prove to be a user where there is a password. Raises LoginRefused, LinkGone, ProtocolFault."""
    user, password = login.user, login.password
    asked: dict[str, bson.Value] = {"hello": 1, "$db": "admin"}
    if password is not None:
        asked["saslSupportedMechs"] = f"admin.{user}"
    facts = read_facts(await talk.ask(asked))
    if password is not None and (facts.mechanisms or not login.offered):
        weak = _STRONG not in facts.mechanisms and _WEAK in facts.mechanisms
        await _scram(talk, user, password, _WEAK if weak else _STRONG)
    return facts


async def _scram(talk: Conversation, user: str, password: str, mechanism: str) -> None:
    if mechanism == _WEAK:
        mangled = f"{user}:mongo:{password}".encode()
        password = hashlib.md5(mangled, usedforsecurity=False).hexdigest()
    try:
        client = ScramClient([mechanism], user, password)
        first = client.get_client_first().encode()
        start: dict[str, bson.Value] = {"saslStart": 1, "mechanism": mechanism, "payload": first}
        said, conversation, _ = await _step(talk, {**start, "options": {"skipEmptyExchange": True}})
        client.set_server_first(said)
        # thousands of rounds of a hash: some milliseconds in which nobody else would be served
        final = await asyncio.to_thread(client.get_client_final)
        more: dict[str, bson.Value] = {"saslContinue": 1, "conversationId": conversation}
        said, _, done = await _step(talk, {**more, "payload": final.encode()})
        client.set_server_final(said)
        for _ in range(_MOST_STEPS):
            if done:
                return
            _, _, done = await _step(talk, {**more, "payload": b""})
    except ScramException as error:
        raise LoginRefused(f"SCRAM: {error}") from error
    raise LoginRefused("SCRAM: it does not end")


async def _step(talk: Conversation, asked: dict[str, bson.Value]) -> tuple[str, int, bool]:
    answer = await talk.ask({**asked, "$db": "admin"})
    places = bson.fields(answer, *message.body(answer))
    if refusal_of(answer) is not None:
        raise LoginRefused(bson.text(answer, places.get(b"errmsg")) or "the server gives no reason")
    said = bson.binary(answer, places.get(b"payload")) or b""
    number = bson.number(answer, places.get(b"conversationId")) or 0
    return said.decode(errors="replace"), number, bool(bson.number(answer, places.get(b"done")))
