"""Connection: a client's transport: its handshake, its dialogue, then whoever serves it."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol as Interface
from typing import cast

from marchproxy.kit.logs import get_logger
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.modules.rtmp.session.dialogue import BadKey, Dialogue
from marchproxy.modules.rtmp.session.roles import Role, Wish
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import answers
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.connect import Caps
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.message import Message

_log = get_logger(__name__)
_HIGH_WATER = 256 * 1024
_FAREWELL_SECONDS = 2.0


class Office(Interface):
    """Whoever decides about connections."""

    def wished(self, connection: "Connection") -> None:
        """A client has said what it wants; it is not read until `serve`, `refuse` or `detach`."""
        ...

    def ended(self, connection: "Connection", reason: str) -> None:
        """A connection has ended; called once for each that was made."""
        ...


class Connection(asyncio.Protocol):
    """A Client. What it has to say before its wish is known takes so long as `opened_at` and the office allow."""

    def __init__(self, arrival: Arrival, office: Office, *, now: float) -> None:
        self.arrival = arrival
        self.opened_at = now
        """In the clock's seconds."""
        self.dialogue = Dialogue()
        self.role: Role | None = None
        self._office = office
        self._route: RoutePlan | None = None
        self._handshake: ServerHandshake | None = ServerHandshake(secrets.token_bytes(NOISE))
        self._transport: asyncio.Transport | None = None
        self._raw = False
        self._receive: Callable[[bytes], None] = self._shake
        self._reason = ""
        self._ended = False

    # of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Whatever it is for now."""
        try:
            self._receive(data)
        except ProtocolFault as fault:
            self._broken(fault)

    def pause_writing(self) -> None:
        """More waits than is good."""
        if self.role is not None:
            self.role.full()

    def resume_writing(self) -> None:
        """It was written."""
        if self.role is not None:
            self.role.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever wanted it."""
        self._finish(self._reason or ("reset" if exc else "client"))

    # until the wish is known

    def _shake(self, data: bytes) -> None:
        handshake = self._handshake
        assert handshake is not None
        self._write(handshake.feed(data))
        if handshake.done:
            self._handshake, self._receive = None, self._talk
            if handshake.leftover:
                self._talk(handshake.leftover)

    def _talk(self, data: bytes) -> None:
        dialogue = self.dialogue
        messages = dialogue.feed(data)
        self._write(dialogue.take_out())
        if self.role is not None:
            if messages:
                self.role.messages(messages)
        elif dialogue.wish is not None:
            self.pause()
            self._receive = self._wait
            self._office.wished(self)

    def _wait(self, data: bytes) -> None:
        """What was read before reading ended."""
        self.dialogue.feed(data)

    def take_over(self, recorded: bytes) -> None:
        """Go on with a client to whom another worker has said all that its bytes since the handshake call for."""
        self._handshake, self._receive = None, self._wait
        with suppress(BadKey):
            self.dialogue.feed(recorded)
        self.dialogue.take_out()
        self.pause()
        self._office.wished(self)

    def serve(self, route: RoutePlan, role: Role) -> None:
        """Grant the wish."""
        if self._ended:
            return
        self._route, self.role, self._receive = route, role, self._talk
        try:
            role.begin(self)
            if not self._raw:
                messages: Sequence[Message] = self.dialogue.grant()
                self._write(self.dialogue.take_out())
                if messages:
                    role.messages(messages)
        except ProtocolFault as fault:
            self._broken(fault)
            return
        self.dialogue.recorded.clear()
        self.resume()

    def refuse(self, reason: str, code: Code, description: str) -> None:
        """Say no to the wish, and close."""
        stream = self.wish.stream_id
        status = answers.status(code, description, level=Level.ERROR)
        self.close(reason, status.message(stream))

    @property
    def idle(self) -> bool:
        """Whether all that we wrote has gone out."""
        return self._transport is not None and not self._transport.get_write_buffer_size()

    @property
    def transport(self) -> asyncio.Transport | None:
        """None: it has ended."""
        return self._transport

    def detach(self) -> None:
        """Somebody else has the connection now: close our end of it without a word."""
        self._reason = self._reason or "handed over"
        if self._transport is not None:
            self._transport.abort()

    # as a role's Client

    @property
    def wish(self) -> Wish:
        """What it wants."""
        wish = self.dialogue.wish
        assert wish is not None
        return wish

    @property
    def route(self) -> RoutePlan:
        """The route that takes it."""
        assert self._route is not None
        return self._route

    @property
    def recorded(self) -> bytes:
        """All since the handshake."""
        return bytes(self.dialogue.recorded)

    @property
    def between(self) -> bool:
        """As of the dialogue."""
        return self.dialogue.between

    @property
    def chunk_size(self) -> int:
        """Of what we write."""
        return self.dialogue.chunk_size

    def write(self, data: bytes) -> None:
        """Bytes of chunks."""
        if self._transport is not None:
            self._transport.write(data)

    def send(self, *messages: Message | Command) -> None:
        """Messages of our own."""
        self.dialogue.say(*messages)
        self._write(self.dialogue.take_out())

    def queued(self) -> int:
        """Bytes that wait."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause(self) -> None:
        """Read nothing."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if (
            self._transport is not None
            and not self._transport.is_closing()
            and not self._transport.is_reading()
        ):
            self._transport.resume_reading()

    def want_raw(self) -> None:
        """Bytes for the role."""
        assert self.role is not None
        self._raw = True
        self._receive = self.role.received

    def ask_to_reconnect(self, description: str, tc_url: str = "") -> bool:
        """Where the client can."""
        if not self.wish.connect.abilities.caps & Caps.RECONNECT:
            return False
        self.dialogue.forget_sent()
        self.send(answers.reconnect(description, tc_url=tc_url))
        return True

    def close(self, reason: str, *farewell: Message | Command) -> None:
        """Say farewell and go."""
        if self._transport is None or self._reason:
            return
        self._reason = reason
        self.send(*farewell)
        self.resume()  # or the end of the other side would never be seen
        self._receive = _ignore
        self._transport.close()
        asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self.abort, reason)

    def abort(self, reason: str) -> None:
        """Go at once."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _broken(self, fault: ProtocolFault) -> None:
        _log.info("client broke the protocol", client=str(self.arrival.client), reason=str(fault))
        if isinstance(fault, BadKey):
            code = Code.PUBLISH_BAD_NAME if self.wish.action.value == "publish" else Code.PLAY_NOT_FOUND
            self.refuse("bad_name", code, str(fault))
        else:
            self.close("protocol")

    def _finish(self, reason: str) -> None:
        if self._ended:
            return
        self._ended, self._transport = True, None
        if self.role is not None:
            with suppress(ProtocolFault):
                self.role.gone(reason)
        self._office.ended(self, reason)


def _ignore(data: bytes) -> None:
    """What comes after the end."""
