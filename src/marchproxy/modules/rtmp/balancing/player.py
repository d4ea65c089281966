"""Player: a client that plays a stream from the origin where it is, and goes on at another one when it has gone there."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from marchproxy.kit.logs import get_logger
from marchproxy.modules.rtmp.balancing.asking import Asking
from marchproxy.modules.rtmp.balancing.dialling import DialFailed, dial
from marchproxy.modules.rtmp.balancing.downlink import ENDS, Downlink, Progress
from marchproxy.modules.rtmp.balancing.errand import Errand
from marchproxy.modules.rtmp.balancing.joint import Joint
from marchproxy.modules.rtmp.balancing.link import PAUSE_SECONDS, SOON_SECONDS, SOUND_SECONDS
from marchproxy.modules.rtmp.balancing.searching import NoOrigin, Search
from marchproxy.modules.rtmp.session.roles import Action, Client
from marchproxy.modules.rtmp.streams.player import SLOW_SECONDS
from marchproxy.wire.rtmp import answers, control, requests
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.chunking import encode
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.connect import Caps
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Message, Type

if TYPE_CHECKING:
    from marchproxy.modules.rtmp.balancing.course import Course

_log = get_logger(__name__)
_LEAVING: Final = frozenset({requests.CLOSE_STREAM, requests.DELETE_STREAM})


class Player:
    """A Role, and the Sink of its links."""

    def __init__(self, course: "Course") -> None:
        self.progress, self.is_awaited = Progress(), True
        self._course = course
        self._client: Client | None = None
        self._reader = ChunkReader()
        self._has_begun = self._has_left = self._was_told = False
        self._link: Downlink | None = None
        self._next: Downlink | None = None  # its frames are waited for
        self._joint = Joint(self._go_over)
        self._errand = Errand(course.around.group)
        self._lost_at = 0.0
        self._linked_at = -SOON_SECONDS  # when an origin last took him
        self._full_since: float | None = None
        self._chunk_size = 0  # of what was written as it came

    @property
    def stream_id(self) -> int:
        """What he calls the stream."""
        return 1 if self._client is None else self._client.wish.stream_id

    # as a Role

    def begin(self, client: Client) -> None:
        """Look for the stream."""
        self._client = client
        client.want_raw()
        self._lost_at = self._now()
        self._course.join(self)
        self._errand.start(self._seek())
        self.received(client.recorded)

    def messages(self, messages: Sequence[Message]) -> None:
        """Never: bytes are asked for."""

    def received(self, data: bytes) -> None:
        """What he says. Raises ProtocolFault."""
        for message in self._reader.feed(data):
            if self._has_left:
                return
            if self._has_begun:
                self._heed(message)
            elif message.type in COMMAND_TYPES:
                self._has_begun = read_command(message).name == requests.PLAY

    def full(self) -> None:
        """He does not read as fast as it comes: the origin has to wait, or to leave frames out."""
        self._full_since = self._now()
        if self._link is not None:
            self._link.pause()

    def drained(self) -> None:
        """He has caught up."""
        self._full_since = None
        if self._link is not None:
            self._link.resume()

    def gone(self, reason: str) -> None:  # noqa: ARG002 - the connection counts it
        """He has left."""
        self._leave()

    # as the sink of its links

    @property
    def is_kept(self) -> bool:
        """Whether it is we who say when it is over."""
        return self._course.keeps_players

    def opened(self, link: Downlink, data: bytes) -> None:
        """Go on there, or begin. What our publisher has sent to the origin before goes to nobody else: it is waited for."""
        before, is_ours = self._link, self._course.publisher is not None
        goes_over = self._joint.hold if before and is_ours and not before.is_finished else self._go_over
        goes_over(link, data)

    def finished(self, link: Downlink) -> None:
        """Nothing more comes by it."""
        if link is self._link:
            self._joint.end()

    def passed(self, data: bytes) -> None:
        """More of it."""
        if self._client is not None and data:
            self._client.write(data)
            self._course.tally.bytes_out += len(data)

    def said(self, link: Downlink, command: Command) -> None:
        """Whether the origin wants to be left."""
        status = answers.read_status(command)
        if status.code == Code.RECONNECT:
            self._course.origins.failed(self._course.upstream, link.address, "it sends clients away")
            if link.address == self._course.home:
                self._course.leave_home("it sends clients away")
        elif status.level == Level.ERROR and not link.is_open:
            link.abort(f"the origin ends it: {status.description or status.code}")
        elif status.code in ENDS and not link.is_open and not self.is_kept:
            self.end(status.description)

    def lost(self, link: Downlink) -> None:
        """Go on elsewhere."""
        course = self._course
        if not link.hung_up:
            course.origins.failed(course.upstream, link.address, link.fault)
        if link is self._next:
            self._next = None
            self._joint.drop()
        elif link is self._link:
            self._link, self._chunk_size = None, link.chunk_size
            self.passed(link.rest())
            self._joint.end()
        else:
            return
        if self._has_left or self._link is not None or self._next is not None:
            return
        now = self._now()
        if now - self._linked_at > SOUND_SECONDS:
            self._lost_at = now
        elif now > course.patience_of_players(self._lost_at):
            self._fail(NoOrigin(DialFailed(link.fault)))
            return
        self._errand.start(self._seek())

    # as the course's

    def follow(self) -> asyncio.Task[None] | None:
        """Go to its home, if it is not there; the way there, if it has to go."""
        home = self._course.home
        links = (self._next,) if self._next is not None else (self._link,)
        if any(one is not None and one.is_live and one.address == home for one in links):
            return None
        self._lost_at = self._now()
        return self._errand.start(self._seek())

    def move(self) -> None:
        """Go to where the course says now, and stay where it is until there."""
        self._lost_at = self._now()
        self._errand.start(self._seek())

    def end(self, description: str) -> None:
        """It is over."""
        self._close("ended", Code.PLAY_UNPUBLISHED, Level.STATUS, description)

    def ask_to_reconnect(self, description: str) -> None:
        """Have him come again, elsewhere, if he can."""
        if self._client is not None and self._client.wish.connect.abilities.caps & Caps.RECONNECT:
            self._say(answers.reconnect(description).message())

    def sweep(self, now: float) -> None:
        """Close it when it was too slow for too long."""
        if self._full_since is not None and now - self._full_since > SLOW_SECONDS:
            self._close("slow", Code.PLAY_FAILED, Level.ERROR, "it is not read as fast as it comes")
        elif self._next is not None:
            self._next.hurry(now)

    async def _seek(self) -> None:
        """Where the stream is, or goes."""
        course, client = self._course, self._client
        assert client is not None
        if self._link is None and self._now() - self._linked_at < SOON_SECONDS:
            await course.around.clock.sleep(PAUSE_SECONDS)

        async def reach(address: str) -> Downlink:
            link = Downlink(address, Asking(client.wish, course.upstream.options), self)
            self._joint.drop()
            if self._next is not None:
                self._next.end()
            self._next = link
            await dial(course.upstream, link, client.arrival)
            course.origins.served(course.upstream, address)
            return link

        until = (
            course.patience_of_players(self._lost_at) if self._was_told or course.publisher else self._lost_at
        )
        try:
            link = await Search(course, Action.PLAY, until).run(reach)
        except NoOrigin as error:
            self._next = None
            if self._link is None:
                self._fail(error)
            return
        self._linked_at = self._now()
        course.found(link.address)
        self._tell_begin(client)

    def _go_over(self, link: Downlink, data: bytes) -> None:
        if self._client is not None:
            self._tell_begin(self._client)
        before, self._link, self._next = self._link, link, None
        self._linked_at = self._now()
        link.read_in_turns(self._course.around.turns, echoes=True)
        if self._chunk_size:
            self._course.tally.rehomed += 1
        self._chunk_size = link.chunk_size
        if before is not None:
            data = before.rest() + data
            before.end()
        self.passed(data)
        if self._full_since is not None:
            link.pause()

    def _tell_begin(self, client: Client) -> None:
        if not self._was_told:
            self._was_told = True
            client.send(*answers.played(client.wish.key.name, self.stream_id))

    def _heed(self, message: Message) -> None:
        if message.type == Type.USER_CONTROL:
            told = control.read_user_control(message)
            if told.event == Event.PING and self._full_since is None:
                self._say(control.user_control(Event.PONG, told.value))
        if message.type not in COMMAND_TYPES:
            return
        if read_command(message).name in _LEAVING:
            self._leave(said=True)
            self._close("client", Code.PLAY_STOP, Level.STATUS, "as you wish")
            return
        link = self._link or self._next
        if link is not None and link.is_live and not link.is_full:
            link.say(message._replace(stream_id=link.asking.stream_id if message.stream_id else 0, csid=0))

    def _say(self, message: Message) -> None:
        """A message of ours, between those of the origin."""
        client, link = self._client, self._link
        if client is None:
            return
        if link is not None:
            if data := link.between(message):
                client.write(data)
        elif self._chunk_size:
            client.write(encode(message, self._chunk_size))
        else:
            client.send(message)

    def _fail(self, error: NoOrigin) -> None:
        self._course.tally.unserved += 1
        _log.warning("no origin has a stream", stream=self._course.key.text, reason=str(error))
        self._close("origin", error.code(Code.PLAY_NOT_FOUND), Level.ERROR, str(error))

    def _close(self, reason: str, code: Code, level: Level, description: str) -> None:
        client, link = self._client, self._link
        status = answers.status(code, description, level=level).message(self.stream_id)
        if link is not None and client is not None:
            client.write(link.rest())
            self._link, self._chunk_size = None, link.chunk_size
            link.end(*link.asking.farewell())
        self._say(status)
        self._leave()
        if client is not None:
            client.close(reason)

    def _leave(self, *, said: bool = False) -> None:
        if self._has_left:
            return
        self._has_left = True
        self._errand.stop()
        self._joint.drop()
        for link in (self._link, self._next):
            if link is not None:
                link.end(*(link.asking.farewell() if said else ()))
        self._link = self._next = None
        self._course.quit(self)

    def _now(self) -> float:
        return self._course.around.clock.monotonic()
