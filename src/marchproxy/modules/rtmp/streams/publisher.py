"""Publisher: a client that publishes a stream."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.session.roles import Client
from marchproxy.wire.rtmp import answers, requests
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Message

if TYPE_CHECKING:
    from marchproxy.modules.rtmp.streams.live import LiveStream

_LEAVING: Final = frozenset({requests.FC_UNPUBLISH, requests.CLOSE_STREAM, requests.DELETE_STREAM})


class Publisher:
    """A Role. Its stream knows it from `begin` until it has left, or another one has taken over."""

    def __init__(self, stream: "LiveStream") -> None:
        self._stream: LiveStream | None = stream
        self._client: Client | None = None

    @property
    def key(self) -> StreamKey | None:
        """The stream's key, as it says it; None: it has not begun."""
        return None if self._client is None else self._client.wish.key

    @property
    def address(self) -> str:
        """Where it is."""
        return "" if self._client is None else str(self._client.arrival.client)

    @property
    def in_turns(self) -> bool:
        """Whether what it brings has waited for its turn already."""
        return self._client is not None and self._client.in_turns

    # as a Role

    @property
    def is_awaited(self) -> bool:
        """Whether anybody plays it, or takes it elsewhere."""
        return self._stream is None or self._stream.is_awaited

    def begin(self, client: Client) -> None:
        """Publish."""
        self._client = client
        wish = client.wish
        started = answers.status(Code.PUBLISH_START, f"{wish.key.name} is published")
        client.send(started.message(wish.stream_id))
        if self._stream is not None:
            self._stream.publish(self)

    def messages(self, messages: Sequence[Message]) -> None:
        """Media for the players, or its farewell. Raises ProtocolFault."""
        if self._stream is not None:
            self._stream.take(messages)
        for message in messages:
            if message.type in COMMAND_TYPES:
                self._heed(read_command(message), message.stream_id)

    def received(self, data: bytes) -> None:
        """Never: messages are asked for."""

    def full(self) -> None:
        """It is sent next to nothing."""

    def drained(self) -> None:
        """It is sent next to nothing."""

    def gone(self, reason: str) -> None:  # noqa: ARG002 - the connection counts it
        """It has left without saying so."""
        self._leave(said=False)

    # as the stream's

    def close(self, reason: str, code: Code, description: str) -> None:
        """Have it go; its stream goes on without it."""
        self._stream = None
        if self._client is not None:
            status = answers.status(code, description, level=Level.ERROR)
            self._client.close(reason, status.message(self._client.wish.stream_id))

    def ask_to_reconnect(self, description: str) -> None:
        """Have it come again, elsewhere, if it can."""
        if self._client is not None:
            self._client.ask_to_reconnect(description)

    def _heed(self, command: Command, stream_id: int) -> None:
        client = self._client
        if client is None:
            return
        if command.name in _LEAVING:
            if self._stream is not None:
                unpublished = answers.status(
                    Code.UNPUBLISHED, f"{client.wish.key.name} is not published any more"
                )
                client.send(unpublished.message(client.wish.stream_id))
            self._leave(said=True)
        elif command.name in {requests.PUBLISH, requests.PLAY}:
            said = "one stream for each connection: connect again for another one"
            client.send(answers.status(Code.PUBLISH_BAD_NAME, said, level=Level.ERROR).message(stream_id))

    def _leave(self, *, said: bool) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.left(said=said)
