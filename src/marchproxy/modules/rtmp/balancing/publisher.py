"""Publisher: a client whose stream goes to an origin, and to another one when that is lost."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from marchproxy.kit.logs import get_logger
from marchproxy.modules.rtmp.balancing.asking import Asking
from marchproxy.modules.rtmp.balancing.dialling import DialFailed, dial
from marchproxy.modules.rtmp.balancing.errand import Errand
from marchproxy.modules.rtmp.balancing.inflow import Inflow
from marchproxy.modules.rtmp.balancing.link import PAUSE_SECONDS, SOON_SECONDS, SOUND_SECONDS
from marchproxy.modules.rtmp.balancing.searching import NoOrigin, Search, seated
from marchproxy.modules.rtmp.balancing.uplink import Conveyor, Uplink
from marchproxy.modules.rtmp.session.roles import Action, Client
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import answers
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.message import Message

if TYPE_CHECKING:
    from marchproxy.modules.rtmp.balancing.course import Course

_log = get_logger(__name__)
#: For which players that follow are waited for before frames go on at another origin.
_SEAT_SECONDS: Final = 1.0
#: For which an origin may read nothing.
_FULL_SECONDS: Final = 10.0
#: Without a keyframe frames go on after this, whatever they are: some encoders refresh pictures otherwise.
_KEYLESS_SECONDS: Final = 30.0
_MOST_EARLY: Final = 1024 * 1024


class Publisher:
    """A Role, and the Source of its links. Its course knows it from `begin` until it has left, or another has taken over."""

    def __init__(self, course: "Course") -> None:
        self.inflow, self.is_awaited = Inflow(), True
        self._course = course
        self._client: Client | None = None
        self._conveyor = Conveyor()
        self._coming: Uplink | None = None  # players go there first
        self._early: bytearray | None = bytearray()  # what came before there was an origin
        self._errand = Errand(course.around.group)
        self._has_left = False
        self._media_at = self._linked_at = self._lost_at = self._waiting_since = 0.0
        self._full_since: float | None = None

    @property
    def address(self) -> str:
        """Where it is."""
        return "" if self._client is None else str(self._client.arrival.client)

    @property
    def is_live(self) -> bool:
        """Whether there is an origin that takes what it sends, or will from a keyframe on."""
        return self._conveyor.link is not None

    # as a Role

    def begin(self, client: Client) -> None:
        """Look for an origin; nothing is read before there is one."""
        self._client = client
        client.want_raw()
        client.pause()
        self._media_at = self._lost_at = self._now()
        self.received(client.recorded)
        self._course.publish(self)
        self._errand.start(self._come(client))

    def messages(self, messages: Sequence[Message]) -> None:
        """Never: bytes are asked for."""

    def received(self, data: bytes) -> None:
        """Bring it to the origin. Raises ProtocolFault."""
        if self._early is not None:
            self._early += data
            if len(self._early) > _MOST_EARLY:
                raise ProtocolFault("too much comes before there is an origin")
            return
        client = self._client
        if client is None:
            return
        events = self._conveyor.feed(data)
        tally, size = self._course.tally, len(data)
        tally.bytes_in += size
        if self._conveyor.link is not None:
            tally.bytes_out += size
        if self.inflow.passed(client, events, size):
            self._media_at = self._now()
        if self.inflow.leaves and not self._has_left:
            self._bid_farewell(client)

    def full(self) -> None:
        """It is sent next to nothing."""

    def drained(self) -> None:
        """It is sent next to nothing."""

    def gone(self, reason: str) -> None:  # noqa: ARG002 - the connection counts it
        """It has left without saying so."""
        self._leave(said=False)

    # as the source of its links

    def lost(self, link: Uplink) -> None:
        """Go on elsewhere."""
        if self._has_left or self._early is not None:
            return
        course, now = self._course, self._now()
        was_sound = now - self._linked_at > SOUND_SECONDS
        if not (link.hung_up and was_sound):
            course.origins.failed(course.upstream, link.address, link.fault)
        if not self._conveyor.forget(link):
            return
        if self._coming is not None and self._coming.is_live:
            return  # it is on its way to another one already
        course.lose_home()
        _log.warning(
            "origin of a publisher lost", origin=link.address, stream=course.key.text, reason=link.fault
        )
        if was_sound:
            self._lost_at = now
        elif now > course.patience(self._lost_at):
            self._fail(NoOrigin(DialFailed(link.fault)))
            return
        self.caught_up()
        self._errand.start(self._go_on())

    def sent_away(self) -> None:
        """The origin wants to be left."""
        self._course.origins.failed(self._course.upstream, self._course.home, "it sends clients away")
        self._course.leave_home("it sends clients away")

    def held_up(self) -> None:
        """Read no more than the origin does."""
        self._full_since = self._full_since or self._now()
        if self._client is not None:
            self._client.pause()

    def caught_up(self) -> None:
        """Read again."""
        if self._full_since is not None and not self._conveyor.is_full:
            self._full_since = None
            if self._client is not None:
                self._client.resume()

    # as the course's

    def move(self) -> None:
        """Go to where the course says now, and stay where it is until there."""
        if self._early is None and not self._has_left:
            self._lost_at = self._now()
            self._errand.start(self._go_on())

    def taken_over(self) -> None:
        """Somebody else publishes the stream; the course goes on without it."""
        self._close("taken_over", Code.PUBLISH_BAD_NAME, "somebody else publishes the stream now")

    def end(self, description: str, *, reason: str) -> None:
        """It is over."""
        self._leave(said=True)
        self._close(reason, Code.UNPUBLISHED, description)

    def ask_to_reconnect(self, description: str) -> None:
        """Have it come again, elsewhere, if it can."""
        if self._client is not None:
            self._client.ask_to_reconnect(description)

    def sweep(self, now: float) -> None:
        """What comes with time."""
        if self._early is not None or self._has_left:
            return
        self.caught_up()  # or the one that did not read is not asked any more
        full_since = self._full_since
        if full_since is not None and now - full_since > _FULL_SECONDS and self._conveyor.link is not None:
            self._conveyor.link.abort("the origin reads nothing")
        elif full_since is None and now - self._media_at > self._course.route.options.stall:
            self._stalled()
        if not self._conveyor.waiting:
            self._waiting_since = now
        elif now - self._waiting_since > _KEYLESS_SECONDS:
            self._waiting_since = now
            self._course.tally.keyless += 1
            self._conveyor.hurry()

    async def _come(self, client: Client) -> None:
        """The first origin."""
        try:
            link = await self._search(self._lost_at)
        except NoOrigin as error:
            self._fail(error)
            return
        stream_id, name = client.wish.stream_id, client.wish.key.name
        self._conveyor.begin(link)
        # how long it took to get here does not count against whoever loses this origin at once
        self._linked_at = self._lost_at = self._media_at = self._waiting_since = self._now()
        client.send(answers.status(Code.PUBLISH_START, f"{name} is published").message(stream_id))
        self._course.settle(link.address)
        early, self._early = self._early, None
        try:
            self.received(bytes(early or b""))
        except ProtocolFault as fault:
            _log.info("client broke the protocol", client=self.address, reason=str(fault))
            self._leave(said=False)
            self._close("protocol:publish", Code.FAILED, str(fault))
            return
        self.inflow.has_begun = True
        client.resume()

    async def _go_on(self) -> None:
        """Another origin."""
        course = self._course
        if self._conveyor.link is None and self._now() - self._linked_at < SOON_SECONDS:
            await course.around.clock.sleep(PAUSE_SECONDS)
        try:
            link = await self._search(course.patience(self._lost_at))
        except NoOrigin as error:
            stays = self._conveyor.link
            if stays is None:
                self._fail(error)
            else:
                course.settle(stays.address)  # as long as that is there
            return
        self._coming = link
        try:
            await seated(course.settle(link.address), within=_SEAT_SECONDS)
        except asyncio.CancelledError:
            link.end()
            raise
        finally:
            self._coming = None
        if not link.is_live:
            self._errand.start(self._go_on())
            return
        self._linked_at = self._waiting_since = self._now()
        has_video = bool(self.inflow.sight.video)
        self._conveyor.go_on(link, self.inflow.sight.restart(), video=has_video)
        self._media_at = self._now()
        course.rehomed += 1
        course.tally.rehomed += 1
        _log.info("publisher goes on at another origin", origin=link.address, stream=course.key.text)

    async def _search(self, until: float) -> Uplink:
        course, client = self._course, self._client
        assert client is not None

        async def reach(address: str) -> Uplink:
            link = Uplink(address, Asking(client.wish, course.upstream.options), self)
            await dial(course.upstream, link, client.arrival)
            course.origins.served(course.upstream, address)
            return link

        search = Search(course, Action.PUBLISH, until)
        return await search.run(reach)

    def _bid_farewell(self, client: Client) -> None:
        done = answers.status(Code.UNPUBLISHED, f"{client.wish.key.name} is not published any more")
        client.send(done.message(client.wish.stream_id))
        self._leave(said=True)

    def _stalled(self) -> None:
        course = self._course
        course.tally.stalls += 1
        _log.warning("publisher sends nothing", stream=course.key.text, seconds=course.route.options.stall)
        self._leave(said=False)
        self._close("stalled", Code.PUBLISH_IDLE, "nothing was sent for too long")

    def _fail(self, error: NoOrigin) -> None:
        self._course.tally.unserved += 1
        _log.error("no origin takes a stream", stream=self._course.key.text, reason=str(error))
        self._leave(said=False)
        self._close("origin", error.code(Code.FAILED), str(error))

    def _close(self, reason: str, code: Code, description: str) -> None:
        """Have the client go."""
        self._leave(said=False)
        if self._client is not None:
            status = answers.status(code, description, level=Level.ERROR)
            self._client.close(reason, status.message(self._client.wish.stream_id))

    def _leave(self, *, said: bool) -> None:
        """The stream ends here."""
        if self._has_left:
            return
        self._has_left = True
        self._errand.stop()
        self._conveyor.end(said=said)
        self._course.left(self, said=said)

    def _now(self) -> float:
        return self._course.around.clock.monotonic()
