"""Local: what the proxy answers itself, because it is about the client's own connection. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from marchproxy.wire.redis.values import bulk, error, mapping

_OK = b"+OK\r\n"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is, and what it means by a key: clients of which these are the same may share connections."""

    user: str | None = None
    database: int = 0
    version: int = 2
    name: bytes = b""
    number: int = 0
    proofs: frozenset[str] = frozenset()
    """The ways by which it has shown who it is."""


class House(Protocol):
    """Who may come in, and where to."""

    def newcomer(self, number: int) -> Identity:
        """A client that has just connected: it has a user where it need not show anything."""
        ...

    def proofs(self, user: str, password: bytes) -> frozenset[str] | None:
        """The ways by which that shows who it is; none where nobody is asked. None: it is not let in."""
        ...

    def takes(self, identity: Identity) -> bool:
        """Whether there is a route for it."""
        ...


#: As many as servers have by default.
DATABASES = 16
_SERVER_VERSION = b"7.0.0"


def answer(identity: Identity, words: Sequence[bytes], house: House) -> tuple[Identity, bytes] | None:
    """Who the client is after a command, and the reply; None: the server may answer it."""
    command = _COMMANDS.get(words[0].upper())
    if command is None:
        return identity, error("ERR unknown command")
    if identity.user is None and words[0].upper() not in (b"AUTH", b"HELLO", b"QUIT", b"RESET"):
        return identity, error("NOAUTH Authentication required.")
    return command(identity, words, house)


def _auth(identity: Identity, words: Sequence[bytes], house: House) -> tuple[Identity, bytes]:
    if len(words) not in (2, 3):
        return identity, error("ERR wrong number of arguments for 'auth' command")
    name = words[1].decode(errors="replace") if len(words) == 3 else "default"
    proofs = house.proofs(name, words[-1])
    if proofs is None:
        return identity, error("WRONGPASS invalid username-password pair or user is disabled.")
    return replace(identity, user=name, proofs=proofs), _OK


def _hello(identity: Identity, words: Sequence[bytes], house: House) -> tuple[Identity, bytes]:
    after, rest = identity, list(words[1:])
    if rest:
        if rest[0] not in (b"2", b"3"):
            return identity, error("NOPROTO unsupported protocol version")
        after = replace(after, version=int(rest.pop(0)))
    while rest:
        option = rest.pop(0).upper()
        if option == b"AUTH" and len(rest) >= 2:
            after, reply = _auth(after, [b"AUTH", rest.pop(0), rest.pop(0)], house)
            if reply != _OK:
                return identity, reply
        elif option == b"SETNAME" and rest:
            after = replace(after, name=rest.pop(0)[:256])
        else:
            return identity, error(f"ERR Syntax error in HELLO option '{option.decode(errors='replace')}'")
    if after.user is None:
        return identity, error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
            "<user> <pass> option can be used to authenticate the client and select the RESP protocol version"
        )
    told: list[tuple[bytes, bytes | int]] = [
        (b"server", b"redis"),
        (b"version", _SERVER_VERSION),
        (b"proto", after.version),
        (b"id", after.number),
        (b"mode", b"standalone"),
        (b"role", b"master"),
    ]
    head = mapping(told, version=after.version)
    count = b"%%%d" % len(told) if after.version == 3 else b"*%d" % (2 * len(told))
    more = b"%%%d" % (len(told) + 1) if after.version == 3 else b"*%d" % (2 * len(told) + 2)
    return after, head.replace(count, more, 1) + bulk(b"modules", version=after.version) + b"*0\r\n"


def _select(identity: Identity, words: Sequence[bytes], house: House) -> tuple[Identity, bytes]:
    if len(words) != 2:
        return identity, error("ERR wrong number of arguments for 'select' command")
    if not words[1].isdigit() or len(words[1]) > 9:
        return identity, error("ERR value is not an integer or out of range")
    if int(words[1]) >= DATABASES:
        return identity, error("ERR DB index is out of range")
    after = replace(identity, database=int(words[1]))
    if not house.takes(after):
        return identity, error(f"NOPERM no route takes user {after.user!r} to database {after.database}")
    return after, _OK


def _client(identity: Identity, words: Sequence[bytes], _house: House) -> tuple[Identity, bytes] | None:  # noqa: PLR0911
    match [word.upper() for word in words[1:2]], words[2:]:
        case [b"SETNAME"], [name]:
            if any(not 33 <= byte <= 126 for byte in name):
                return identity, error(
                    "ERR Client names cannot contain spaces, newlines or special characters."
                )
            return replace(identity, name=name[:256]), _OK
        case [b"GETNAME"], []:
            return identity, bulk(identity.name or None, version=identity.version)
        case [b"ID"], []:
            return identity, b":%d\r\n" % identity.number
        case [b"SETINFO"], [_, _]:
            return identity, _OK
        case [b"NO-EVICT" | b"NO-TOUCH" | b"KILL" | b"PAUSE" | b"UNPAUSE" | b"UNBLOCK" as what], _:
            return identity, error(f"NOPERM the proxy does not pass on CLIENT {what.decode()}")
    return None


def _ok(identity: Identity, _words: Sequence[bytes], _house: House) -> tuple[Identity, bytes]:
    return identity, _OK


def _reset(identity: Identity, _words: Sequence[bytes], house: House) -> tuple[Identity, bytes]:
    return house.newcomer(identity.number), b"+RESET\r\n"


def _acl(identity: Identity, words: Sequence[bytes], _house: House) -> tuple[Identity, bytes]:
    if [word.upper() for word in words[1:]] == [b"WHOAMI"]:
        return identity, bulk((identity.user or "").encode(), version=identity.version)
    return identity, error("NOPERM the proxy does not pass on ACL")


_Command = Callable[[Identity, Sequence[bytes], House], tuple[Identity, bytes] | None]
_COMMANDS: Mapping[bytes, _Command] = {
    b"ACL": _acl,
    b"AUTH": _auth,
    b"HELLO": _hello,
    b"SELECT": _select,
    b"CLIENT": _client,
    b"QUIT": _ok,
    b"READONLY": _ok,
    b"READWRITE": _ok,
    b"RESET": _reset,
}
