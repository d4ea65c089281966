"""Pin: why a client needs a connection of its own for longer than one command. Pure.

https://redis.io/docs/latest/develop/using-commands/transactions/
"""

from collections.abc import Sequence
from dataclasses import dataclass

from marchproxy.wire.redis.commands import Kind, blocks, kind_of, may_block
from marchproxy.wire.redis.values import encode

#: About the session, yet the server may hear them over a connection that is this client's alone.
_HARMLESS = frozenset((b"SELECT", b"CLIENT", b"QUIT"))
#: What no server knows, and what a transaction therefore fails of.
REFUSED = b"refused-by-the-proxy"
_STREAMING = frozenset((b"REPLY", b"TRACKING", b"CACHING"))


@dataclass(slots=True)
class Pin:
    """What is going on over the connection; `reason`: the command that began it."""

    reason: str = ""
    multi: bool = False
    watch: bool = False
    parts: bool = False
    """A command is under way, of which the end was not sent."""
    session: bool = False
    """Its pool gives each client a connection for as long as it is there."""
    relay: bool = False
    """The server speaks unasked, or its database is another: the connection is this client's for good."""

    @property
    def transaction(self) -> bool:
        """Whether what came before decides about what comes next."""
        return self.multi or self.watch

    @property
    def held(self) -> bool:
        """Whether the connection must stay the client's when nothing is owed."""
        return self.multi or self.watch or self.parts or self.relay or self.session

    @property
    def only_session(self) -> bool:
        """Whether nothing is lost with the connection but its being the client's."""
        return self.session and not (self.multi or self.watch or self.parts or self.relay)

    def note(self, name: bytes, kind: Kind, *, bare: bool) -> None:
        """A command goes over the connection; `bare`: it has no words but its name."""
        self.reason = self.reason or name.decode(errors="replace")
        if name == b"MULTI":
            self.multi = True
        elif name == b"WATCH":
            self.watch = True
        elif kind is Kind.TRANSACTION_END and bare:
            # with words too many the server refuses it, and the transaction goes on
            if name != b"UNWATCH":
                self.multi = False
            self.watch = self.watch and self.multi


def replaced(name: bytes) -> bytes | None:
    """What is sent for a command that must not go to the server: one that no server knows, so that a transaction fails."""
    kind = kind_of(name)
    if kind is Kind.OPERATOR or (kind is Kind.SESSION and name not in _HARMLESS):
        return encode([REFUSED, name])
    return None


def asked(name: bytes, words: Sequence[bytes], *, whole: bool) -> Kind:
    """What a command is, told by its words where its name does not tell; what is not whole may do its worst."""
    if name == b"CLIENT" and len(words) > 1 and words[1].upper() in _STREAMING:
        return Kind.STREAM
    if may_block(name) and (not whole or blocks(words)):
        return Kind.BLOCKING
    return kind_of(name)


def forbidden(name: bytes) -> str:
    """The words with which a command for operators is refused."""
    return f"NOPERM the proxy does not pass on {name.decode(errors='replace')}"
