"""Connection: a client: its handshake, its dialogue, then whoever serves it."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from typing import Protocol as Interface

from marchproxy.kit.logs import get_logger
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.modules.rtmp.session.dialogue import BadKey, Dialogue
from marchproxy.modules.rtmp.session.link import Link
from marchproxy.modules.rtmp.session.roles import Action, Role, Wish
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import answers
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.connect import Caps
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.message import Message

_log = get_logger(__name__)
#: Bytes of answers that may wait for a client that reads nothing and asks on: more than that is no accident.
_MOST_ANSWERS: Final = 64 * 1024


class Office(Interface):
    """Whoever decides about connections."""

    def wished(self, connection: "Connection") -> None:
        """A client has said what it wants; it is not read until `serve`, `refuse` or `part`."""
        ...

    def left(self, connection: "Connection", reason: str) -> None:
        """A connection has ended; called once for each that was made."""
        ...


class Connection(Link):
    """A Client. What it has to say before its wish is known takes as long as the office allows."""

    def __init__(self, arrival: Arrival, office: Office, *, now: float) -> None:
        super().__init__()
        self.arrival = arrival
        self.opened_at = now
        """In the clock's seconds."""
        self.dialogue = Dialogue()
        self.role: Role | None = None
        self._office = office
        self._route: RoutePlan | None = None
        self._handshake: ServerHandshake | None = ServerHandshake(secrets.token_bytes(NOISE))
        self._receive: Callable[[bytes], None] = self._shake
        self._answered = 0  # bytes, since more waits than is good
        self.was_handed = False
        """Whether it comes from another worker, which has decided that it belongs here."""
        self._said_there = b""

    @property
    def has_shaken(self) -> bool:
        """Whether the handshake is over."""
        return self._handshake is None

    # of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or go on at once: what the client says next may already be there."""
        super().connection_made(transport)
        if self.was_handed:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        """Whatever it is for now."""
        try:
            self._receive(data)
        except ProtocolFault as fault:
            self._broken(fault)

    def pause_writing(self) -> None:
        """More waits than is good."""
        super().pause_writing()
        self._answered = 0
        if self.role is not None:
            self.role.full()

    def resume_writing(self) -> None:
        """It was written."""
        super().resume_writing()
        if self.role is not None:
            self.role.drained()

    def ended(self, reason: str) -> None:
        """As a Link's."""
        if self.role is not None:
            with suppress(ProtocolFault):
                self.role.gone(reason)
        self._office.left(self, reason)

    # until the wish is granted

    def _shake(self, data: bytes) -> None:
        handshake = self._handshake
        assert handshake is not None
        self.write(handshake.feed(data))
        if handshake.done:
            self._handshake, self._receive = None, self._talk
            if handshake.leftover:
                self._talk(handshake.leftover)

    def _talk(self, data: bytes) -> None:
        dialogue = self.dialogue
        messages = dialogue.feed(data)
        if answer := dialogue.take_out():
            self._answer(answer)
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
        """Go on with a client to whom another worker has said all that its bytes since the handshake call for; to be called
        before there is a transport."""
        self._handshake, self._receive, self.was_handed = None, self._wait, True
        self._said_there = recorded

    def _go_on(self) -> None:
        said, self._said_there = self._said_there, b""
        try:
            self.dialogue.feed(said)
        except ProtocolFault as fault:
            self._broken(fault)
            return
        self.dialogue.take_out()
        self.dialogue.forget_sent()
        self.pause()
        if self.dialogue.wish is None:
            self.close("protocol:handed")
        else:
            self._office.wished(self)

    def serve(self, route: RoutePlan, role: Role) -> None:
        """Grant the wish."""
        if self.reason or self.transport is None:
            return
        self._route, self.role, self._receive = route, role, self._talk
        self.resume()
        try:
            role.begin(self)
            if self._receive == self._talk and not self.reason:
                messages = self.dialogue.grant()
                self.write(self.dialogue.take_out())
                if messages:
                    role.messages(messages)
        except ProtocolFault as fault:
            self._broken(fault)
            return
        self.dialogue.recorded.clear()

    def refuse(self, reason: str, code: Code, description: str) -> None:
        """Say no to the wish, and close."""
        status = answers.status(code, description, level=Level.ERROR)
        self.close(reason, status.message(self.wish.stream_id))

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

    def send(self, *messages: Message | Command) -> None:
        """Messages of our own."""
        self.dialogue.forget_sent()
        self.dialogue.say(*messages)
        self.write(self.dialogue.take_out())

    @property
    def is_awaited(self) -> bool:
        """As a Taker's."""
        return self.role is None or self.role.is_awaited

    def want_raw(self) -> None:
        """Bytes for the role."""
        assert self.role is not None
        self._receive = self.role.received

    def ask_to_reconnect(self, description: str, tc_url: str = "") -> bool:
        """Where the client can."""
        if not self.wish.connect.abilities.caps & Caps.RECONNECT:
            return False
        self.send(answers.reconnect(description, tc_url=tc_url))
        return True

    def close(self, reason: str, *farewell: Message | Command) -> None:
        """Say farewell and go."""
        if self.transport is None or self.reason:
            return
        if farewell:
            self.send(*farewell)
        self._receive = _ignore
        self.finish(reason)

    def _answer(self, data: bytes) -> None:
        if self.is_full:
            self._answered += len(data)
            if self._answered > _MOST_ANSWERS:
                raise ProtocolFault("it reads nothing, and asks on")
        self.write(data)

    def _broken(self, fault: ProtocolFault) -> None:
        stage = self._stage()
        _log.info(
            "client broke the protocol", client=str(self.arrival.client), stage=stage, reason=str(fault)
        )
        if isinstance(fault, BadKey):
            is_publisher = self.wish.action is Action.PUBLISH
            code = Code.PUBLISH_BAD_NAME if is_publisher else Code.PLAY_NOT_FOUND
            self.refuse("bad_name", code, str(fault))
        else:
            self.close(f"protocol:{stage}")

    def _stage(self) -> str:
        if self._handshake is not None:
            return "handshake"
        return "commands" if self.role is None else self.wish.action.value


def _ignore(data: bytes) -> None:
    """What comes after the end."""
