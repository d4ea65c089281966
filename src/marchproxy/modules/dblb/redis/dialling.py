"""Dialling: opens a connection to a server that is logged in, speaks the client's version, and is in its database."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.redis.link import Link, Owner
from marchproxy.modules.dblb.redis.pool import LoginRefused
from marchproxy.modules.dblb.redis.question import ask
from marchproxy.modules.dblb.serverside import connect
from marchproxy.wire.redis.values import Failure, encode, read

_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection is to be. Without a password nobody is logged in.

    `offered`: the password is the client's own, for a server that wants it; one that lets everybody in may not know it.
    """

    user: str = _DEFAULT
    password: str = field(default="", repr=False)
    database: int = 0
    version: int = 2
    offered: bool = False
    bare: bool = False
    """For Envoy, which knows neither users nor databases."""


async def dial(address: HostPort, tls: UpstreamTls | None, login: Login, owner: Owner) -> Link:
    """A link. Raises LoginRefused, ProtocolFault, OSError; the caller sets the deadline."""
    commands = _commands(login)
    link = await connect(address, lambda: Link(owner), tls)
    try:
        answers, at = await ask(link, b"".join(commands), len(commands)), 0
        for number in range(len(commands)):
            value, at = read(answers, at)
            if isinstance(value, Failure) and not (login.offered and number == 0):
                raise LoginRefused(f"the server refuses the proxy: {value.decode(errors='replace')}")
    except BaseException:
        link.transport.abort()
        raise
    return link


def _commands(login: Login) -> Sequence[bytes]:
    if login.bare:
        return [encode([b"PING"])]
    commands = []
    if login.password:
        # servers before 6.0 have no names, and later ones know this form
        name = [] if login.user == _DEFAULT else [login.user.encode()]
        commands.append(encode([b"AUTH", *name, login.password.encode()]))
    if login.version == 3:
        commands.append(encode([b"HELLO", b"3"]))
    commands.append(encode([b"SELECT", b"%d" % login.database]))
    return commands
