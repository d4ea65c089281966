"""Player: a client that plays a stream. Whoever reads too slowly loses whole GOPs, and in the end the connection."""

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final

from marchproxy.modules.rtmp.session.roles import Client
from marchproxy.modules.rtmp.streams.batch import NO_ENTRY, STREAM_ID, Batch, of_stream, write_preface
from marchproxy.wire.rtmp import answers, control, requests
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.commands import read_command
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Message
from marchproxy.wire.rtmp.preface import Preface

if TYPE_CHECKING:
    from marchproxy.modules.rtmp.streams.live import LiveStream

#: For which a player may be without a single GOP because it does not read.
SLOW_SECONDS: Final = 60.0
_LEAVING: Final = frozenset({requests.CLOSE_STREAM, requests.DELETE_STREAM})


class _State(Enum):
    EXPECTING = "expecting"
    """There is no publisher yet, and it was told nothing."""
    WAITING = "waiting"
    """For where it can begin."""
    PLAYING = "playing"
    GONE = "gone"


class Player:
    """A Role."""

    def __init__(self, stream: "LiveStream") -> None:
        self._stream = stream
        self._client: Client | None = None
        self._write: Callable[[bytes], None] = _nowhere
        self._state = _State.EXPECTING
        self._is_full = False
        self._told: Preface | None = None  # when it began last
        self._allowance = 0
        self._slow_since: float | None = None
        self.since = 0.0
        """When it came, in the clock's seconds."""
        self.dropped = 0
        self.is_awaited = True

    # as a Role

    def begin(self, client: Client) -> None:
        """Join."""
        self._client = client
        stream_id = client.wish.stream_id
        self._write = client.write if stream_id == STREAM_ID else partial(_translated, client, stream_id)
        self._stream.join(self)

    def messages(self, messages: Sequence[Message]) -> None:
        """Whether it leaves."""
        for message in messages:
            if message.type in COMMAND_TYPES and read_command(message).name in _LEAVING:
                self.close("client")
                return

    def received(self, data: bytes) -> None:
        """Never: messages are asked for."""

    def full(self) -> None:
        """It does not read as fast as it is written to."""
        self._is_full = True
        if self._state is _State.PLAYING:
            self._stream.audience.late(self)

    def drained(self) -> None:
        """It has caught up."""
        self._is_full = False
        self._allowance = self._stream.options.queue
        if self._state is _State.PLAYING:
            self._stream.audience.prompt(self, self._write)

    def gone(self, reason: str) -> None:  # noqa: ARG002 - the connection counts it
        """Leave."""
        self._leave()

    # as the stream's

    def start(self) -> None:
        """The stream is there: say so. What was published comes by `catch_up` and `offer`."""
        client = self._client
        if client is None or self._state is not _State.EXPECTING:
            return
        self._state = _State.WAITING
        self._allowance = self._stream.options.queue
        client.send(*answers.played(client.wish.key.name, client.wish.stream_id))

    def catch_up(self, gop: bytes, preface: Preface) -> int:
        """Begin with what was published before, behind this preface; how many bytes went out."""
        if self._state is not _State.WAITING or not gop:
            return 0
        self._allowance += len(gop)  # who has just come has not read it slowly
        self._play(gop, preface)
        return len(gop)

    def restart(self) -> None:
        """Another publisher comes: wait for its beginning."""
        if self._state is _State.PLAYING:
            self._state = _State.WAITING
            self._stream.audience.late(self)

    def offer(self, batch: Batch, now: float) -> int:
        """Take of it what fits; how many bytes that was."""
        client = self._client
        if client is None or self._state in {_State.GONE, _State.EXPECTING}:
            return 0
        queued = client.queued()
        if self._state is _State.PLAYING:
            if queued + len(batch.data) <= self._allowance:
                self._write(batch.data)
                return len(batch.data)
            self._state, self._slow_since = _State.WAITING, now
        elif batch.entry != NO_ENTRY:
            data = batch.tail
            if self._told is not batch.preface:
                data = write_preface(batch.preface, batch.time) + data
            if not queued or queued + len(data) <= self._allowance:
                self._drop(batch.entry)
                self._play(data, batch.preface)
                return len(data)
        self._drop(len(batch.messages))
        return 0

    def sweep(self, now: float) -> None:
        """Close it when it was too slow for too long."""
        if self._slow_since is not None and now - self._slow_since > SLOW_SECONDS:
            self.close("slow", Code.PLAY_FAILED, "it is not read as fast as it is published")

    def ask_to_reconnect(self, description: str) -> None:
        """Have it come again, elsewhere, if it can."""
        if self._client is not None:
            self._client.ask_to_reconnect(description)

    def end(self, description: str) -> None:
        """The stream has ended."""
        client = self._client
        if client is None:
            return
        stream_id = client.wish.stream_id
        if self._state is _State.EXPECTING:
            self.close("no_stream", Code.PLAY_NOT_FOUND, description)
            return
        self._leave()
        client.close(
            "ended",
            answers.status(Code.PLAY_UNPUBLISHED, description).message(stream_id),
            control.user_control(Event.STREAM_EOF, stream_id),
            answers.status(Code.PLAY_STOP, description).message(stream_id),
        )

    def close(self, reason: str, code: Code | None = None, description: str = "") -> None:
        """Have it go; with a code it is told why."""
        client = self._client
        self._leave()
        if client is None:
            return
        if code is None:
            client.close(reason)
        else:
            status = answers.status(code, description, level=Level.ERROR)
            client.close(reason, status.message(client.wish.stream_id))

    def _play(self, data: bytes, told: Preface) -> None:
        self._state, self._told, self._slow_since = _State.PLAYING, told, None
        self._write(data)
        if not self._is_full:
            self._stream.audience.prompt(self, self._write)

    def _drop(self, count: int) -> None:
        if self._slow_since is not None and count:
            self.dropped += count
            self._stream.dropped(count)

    def _leave(self) -> None:
        if self._state is not _State.GONE:
            self._state = _State.GONE
            self._stream.leave(self)


def _translated(client: Client, stream_id: int, data: bytes) -> None:
    client.write(of_stream(data, stream_id))


def _nowhere(data: bytes) -> None:
    """Before it has begun."""
