"""Roles: what a client is once it has said what it wants, and what its connection offers to whoever serves it then."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.connect import Connect
from marchproxy.wire.rtmp.message import Message


class Action(Enum):
    """What a client wants with a stream; the value is the word that tokens are signed for."""

    PUBLISH = "publish"
    PLAY = "play"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client has said. `name` is as it came, with its query; `query` has all that came, the app's and tcUrl's too.

    `stream_id` and `transaction` are those of its command.
    """

    action: Action
    key: StreamKey
    name: str = field(repr=False)  # tokens are in these
    query: str = field(repr=False)
    connect: Connect = field(repr=False)
    stream_id: int = 1
    transaction: float = 0


class Client(Protocol):
    """The connection of a client whose wish is known, as a role knows it. Nothing here raises when the client is gone."""

    in_turns: bool
    """Whether what it brings is read in turns with others, several messages at once."""

    @property
    def arrival(self) -> Arrival:
        """Who it is."""
        ...

    @property
    def wish(self) -> Wish:
        """What it wants."""
        ...

    @property
    def route(self) -> RoutePlan:
        """The route that takes it, as it was when it came."""
        ...

    @property
    def recorded(self) -> bytes:
        """All that it has sent since the handshake, up to the begin of its role, what was read over its last command included."""
        ...

    @property
    def between(self) -> bool:
        """Whether what was received so far ends between two messages."""
        ...

    @property
    def chunk_size(self) -> int:
        """Of what we write to it, as we told it last."""
        ...

    def write(self, data: bytes) -> None:
        """Bytes of chunks, as they are."""
        ...

    def send(self, *messages: Message | Command) -> None:
        """Messages, chunked after those that were sent so; a command goes to stream 0. After `write` of others' chunks, and
        from then on, these are written in full."""
        ...

    def queued(self) -> int:
        """How many bytes wait to be written."""
        ...

    def pause(self) -> None:
        """Read nothing until `resume`."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def want_raw(self) -> None:
        """From the next bytes on the role gets them as they are (`received`), and no messages any more: pings, acknowledgements
        and chunk sizes are then its own affair."""
        ...

    def ask_to_reconnect(self, description: str, tc_url: str = "") -> bool:
        """Whether it was asked to connect again: only who says that it can is asked."""
        ...

    def close(self, reason: str, *farewell: Message | Command) -> None:
        """Say farewell, close when that is written, or after 2 s; `reason` is what the end is counted under."""
        ...


class Role(Protocol):
    """Whoever serves a client from when its wish is granted until its connection ends."""

    @property
    def is_awaited(self) -> bool:
        """Whether somebody is to have at once what it brings."""
        ...

    def begin(self, client: Client) -> None:
        """Called once. `recorded` is complete; messages in it after the wish follow by `messages`, but for a role that calls
        `want_raw` here: that reads them in `recorded`."""
        ...

    def messages(self, messages: Sequence[Message]) -> None:
        """Those of one read that are not of the connection itself: media, data, commands of the stream."""
        ...

    def received(self, data: bytes) -> None:
        """Bytes as they came, after `want_raw`."""
        ...

    def full(self) -> None:
        """More waits to be written than is good; write no more until `drained`, if that can be helped."""
        ...

    def drained(self) -> None:
        """What waited was written."""
        ...

    def gone(self, reason: str) -> None:
        """The connection has ended; called once, after `begin`, whoever ended it."""
        ...
