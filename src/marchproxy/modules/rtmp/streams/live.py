"""LiveStream: one stream of a worker, from its first publisher or player until nobody wants it any more."""

from collections.abc import Sequence
from enum import Enum
from time import perf_counter
from typing import Final, Protocol

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.modules.rtmp.policy.ceiling import Ceiling
from marchproxy.modules.rtmp.session.turns import SECONDS
from marchproxy.modules.rtmp.streams.audience import Audience
from marchproxy.modules.rtmp.streams.batch import read_chunks, write_preface
from marchproxy.modules.rtmp.streams.feed import Feed
from marchproxy.modules.rtmp.streams.gop import GopCache
from marchproxy.modules.rtmp.streams.meter import Meter
from marchproxy.modules.rtmp.streams.player import Player
from marchproxy.modules.rtmp.streams.publisher import Publisher
from marchproxy.modules.rtmp.streams.tap import Tap
from marchproxy.modules.rtmp.tally import Tally
from marchproxy.wire.rtmp.answers import Code
from marchproxy.wire.rtmp.message import Message

_log = get_logger(__name__)
#: For which players wait for a publisher that was not there yet.
EXPECT_SECONDS: Final = 10.0
#: How much of the mean latency is of the last batch.
_SHARE: Final = 0.05


class State(Enum):
    """What there is of a stream."""

    EXPECTED = "expected"
    """Players alone; they were told nothing yet."""
    LIVE = "live"
    WAITING = "waiting"
    """Its publisher left without saying so, and may return."""
    ENDED = "ended"


class Registry(Protocol):
    """Whoever keeps streams."""

    def began(self, stream: "LiveStream") -> None:
        """It is live for the first time."""
        ...

    def ended(self, stream: "LiveStream") -> None:
        """It is over."""
        ...


class LiveStream:
    """Clients find their places here by `publish` and `join`; `tally` is that of its route."""

    def __init__(
        self, key: StreamKey, route: RoutePlan, tally: Tally, *, registry: Registry, clock: Clock
    ) -> None:
        self.key = key
        self.named = key
        """The key as its publisher says it, with the host where streams are told apart without."""
        self.route = route
        self.tally = tally
        self.state = State.EXPECTED
        self.feed = Feed()
        self.audience = Audience()
        self.meter = Meter()
        self._ceiling = Ceiling()
        self.publisher: Publisher | None = None
        self.since = clock.monotonic()
        """When its state began, in the clock's seconds."""
        self.live_since = self.since
        self._work = 0.0  # seconds that a batch took
        self.drops = 0
        """Messages that slow players did not get."""
        self._clock = clock
        self._registry = registry
        self._gop = GopCache(route.options.gop_cache)
        self._taps: list[Tap] = []
        self._received = 0
        self._media_at = self.since

    @property
    def options(self) -> RtmpRoute:
        """Those of its route."""
        return self.route.options

    @property
    def latency(self) -> float:
        """From when media came until they were given to the players' connections, the mean of late, in seconds."""
        has_turns = self.publisher is not None and self.publisher.in_turns
        return self._work + self.audience.waited + (SECONDS / 2 if has_turns else 0.0)

    @property
    def is_live(self) -> bool:
        """Whether somebody publishes it."""
        return self.state is State.LIVE

    @property
    def is_awaited(self) -> bool:
        """Whether anybody gets it now."""
        return bool(self._taps) or len(self.audience) > 0

    def follow(self, route: RoutePlan) -> None:
        """Go by this from now on."""
        self.route = route
        self._gop.most = route.options.gop_cache

    # publishers

    def publish(self, publisher: Publisher) -> None:
        """Somebody publishes it, instead of whoever did."""
        now = self._clock.monotonic()
        before, self.publisher = self.publisher, publisher
        self.named = publisher.key or self.key
        if before is not None:
            self.tally.publishers -= 1
            before.close("taken_over", Code.PUBLISH_BAD_NAME, "somebody else publishes the stream now")
            self._pause()
        is_new = self.state is State.EXPECTED
        self._enter(State.LIVE)
        self.feed.restart()
        self._gop.clear()
        self._media_at = now
        self.tally.publishers += 1
        self.tally.publishes += 1
        _log.info("stream published", stream=self.key.text, publisher=publisher.address)
        for player in self.audience:
            player.restart()
            player.start()
        if is_new:
            self.live_since = now
            self._registry.began(self)

    def take(self, messages: Sequence[Message]) -> None:
        """What was published in one read. Raises ProtocolFault."""
        begun = perf_counter()
        now = self._clock.monotonic()
        keyless, frames = self.feed.keyless, self.feed.frames
        batch = self.feed.take(messages, now)
        if batch is not None or self.feed.frames != frames:
            self._media_at = now
        if self.feed.keyless != keyless:
            self.tally.keyless += 1
            _log.warning("no keyframe for long", stream=self.key.text)
        if batch is None:
            return
        self._received += batch.size
        self.tally.bytes_in += batch.size
        if self.audience:
            has_waited = self.publisher is not None and self.publisher.in_turns
            self.tally.bytes_out += self.audience.spread(batch, now, has_waited=has_waited)
        self._gop.add(batch)
        if self._taps:
            for tap in tuple(self._taps):
                tap.messages(batch.messages)
        self._work += (perf_counter() - begun - self._work) * _SHARE

    def left(self, *, said: bool) -> None:
        """The publisher has gone; who says so does not come back."""
        self.publisher = None
        self.tally.publishers -= 1
        if said or not self.options.grace:
            self.end("the publisher has ended the stream")
            return
        _log.info("publisher gone", stream=self.key.text, seconds=self.options.grace)
        self._pause()
        self._enter(State.WAITING)

    # players and taps

    def join(self, player: Player) -> None:
        """A player comes."""
        player.since = self._clock.monotonic()
        self.audience.late(player)
        self.tally.players += 1
        self.tally.plays += 1
        if self.state is not State.EXPECTED:
            player.start()
        if self.state is State.LIVE:
            self.tally.bytes_out += player.catch_up(self._gop.read(), self._gop.preface)

    def leave(self, player: Player) -> None:
        """A player has gone."""
        self.audience.leave(player)
        self.tally.players -= 1
        if self.state is State.EXPECTED and not len(self.audience):
            self.end("")

    def dropped(self, count: int) -> None:
        """A player did not get so many messages."""
        self.drops += count
        self.tally.dropped_messages += count

    def tap(self, tap: Tap) -> None:
        """Give it everything from now on, after what a player that joins now would be given."""
        self._taps.append(tap)
        if gop := self._gop.read():
            tap.messages(read_chunks(gop))
        elif before := write_preface(self.feed.preface, self.feed.timeline.now):
            tap.messages(read_chunks(before))

    def untap(self, tap: Tap) -> None:
        """Give it nothing more; it need not be there."""
        if tap in self._taps:
            self._taps.remove(tap)

    # time

    def sweep(self) -> None:
        """What comes with time; call it about once a second."""
        now = self._clock.monotonic()
        for player in self.audience:
            player.sweep(now)
        match self.state:
            case State.LIVE:
                self.meter.note(now, self._received, self.feed.frames)
                if self._ceiling.exceeded(now, self.meter.bitrate, self.options.limits.bitrate):
                    self._too_much()
                elif now - self._media_at > self.options.stall:
                    self._stalled()
            case State.WAITING if now - self.since > self.options.grace:
                self.end("the publisher has not come back")
            case State.EXPECTED:
                for player in [one for one in self.audience if now - one.since > EXPECT_SECONDS]:
                    player.end("nobody publishes such a stream")
                if not len(self.audience):
                    self.end("")  # whoever was to begin it never did
            case _:
                pass

    def end(self, description: str, *, reason: str = "ended") -> None:
        """It is over for everybody."""
        if self.state is State.ENDED:
            return
        self.audience.flush()
        was_expected = self.state is State.EXPECTED
        self._enter(State.ENDED)
        publisher, self.publisher = self.publisher, None
        if publisher is not None:
            self.tally.publishers -= 1
            publisher.close(reason, Code.UNPUBLISHED, description)
        for player in self.audience:
            player.end(description)
        taps, self._taps = self._taps, []
        for tap in taps:
            tap.ended()
        self._gop.clear()
        if not was_expected:
            _log.info("stream ended", stream=self.key.text, reason=description)
        self._registry.ended(self)

    def ask_to_reconnect(self, description: str) -> None:
        """Have everybody come again, elsewhere, who can."""
        if self.publisher is not None:
            self.publisher.ask_to_reconnect(description)
        for player in self.audience:
            player.ask_to_reconnect(description)

    def _stalled(self) -> None:
        self.tally.stalls += 1
        _log.warning("publisher sends nothing", stream=self.key.text, seconds=self.options.stall)
        publisher, self.publisher = self.publisher, None
        if publisher is not None:
            publisher.close("stalled", Code.PUBLISH_IDLE, "nothing was sent for too long")
        self.left(said=False)

    def _too_much(self) -> None:
        most, rate = self.options.limits.bitrate, round(self.meter.bitrate)
        _log.warning("publisher sends too much", stream=self.key.text, kbps=rate, most=most)
        publisher, self.publisher = self.publisher, None
        if publisher is not None:
            publisher.close(
                "bitrate", Code.PUBLISH_DENIED, f"{rate} kbit/s: no more than {most} are let through"
            )
            self.tally.publishers -= 1
        self.end("the publisher has sent too much")

    def _pause(self) -> None:
        """Players and taps wait for another publisher."""
        self._gop.clear()
        self.meter.clear()
        for tap in tuple(self._taps):
            tap.paused()

    def _enter(self, state: State) -> None:
        self.state = state
        self.since = self._clock.monotonic()
