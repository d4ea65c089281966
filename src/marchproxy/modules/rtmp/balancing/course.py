"""Course: one stream of a worker that lives at an origin: who publishes and plays it here, and at which origin it is."""

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final

from marchproxy.kit.logs import get_logger
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.balancing.choice import order_of, pool_of
from marchproxy.modules.rtmp.balancing.origins import Origin, Origins
from marchproxy.modules.rtmp.plan import RoutePlan, Upstream
from marchproxy.modules.rtmp.policy.ceiling import Ceiling
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.modules.rtmp.streams.meter import Meter
from marchproxy.modules.rtmp.tally import Tally

if TYPE_CHECKING:
    from marchproxy.modules.rtmp.balancing.player import Player
    from marchproxy.modules.rtmp.balancing.publisher import Publisher

_log = get_logger(__name__)
#: A player may look for the stream so much longer than its publisher for an origin.
_BEHIND: Final = 5.0


class State(Enum):
    """What there is of a stream here."""

    OPEN = "open"
    """Players alone, and nobody knows here who publishes."""
    LIVE = "live"
    MOVING = "moving"
    """Its publisher is on the way to an origin."""
    WAITING = "waiting"
    """Its publisher has left."""


class Course:
    """It has a pool, which it keeps as long as its route has that, and a home: the origin where it is."""

    def __init__(self, key: StreamKey, route: RoutePlan, origins: Origins, around: Surroundings) -> None:
        self.key = key
        self.route = route
        self.upstream: Upstream = pool_of(route, key)
        self.origins = origins
        self.around = around
        self.tally = self._tally()
        """That of its route and pool."""
        self.home = ""
        self.publisher: Publisher | None = None
        self.players: dict[Player, None] = {}
        self.rehomed = 0
        self.meter = Meter()
        self._ceiling = Ceiling()
        self.began_at = self.since = self._now()
        """When somebody first came for it; `since`: when its publisher came, or left. In the clock's seconds."""
        self._waits = False
        self._left_said = False

    @property
    def state(self) -> State:
        """As it is now."""
        if self.publisher is not None:
            return State.LIVE if self.publisher.is_live else State.MOVING
        return State.WAITING if self._waits else State.OPEN

    @property
    def is_over(self) -> bool:
        """Whether nobody here has to do with it any more."""
        return self.publisher is None and not self.players and not self._waits

    @property
    def keeps_players(self) -> bool:
        """Whether it is we who say when it is over for players, not the origin that it has left."""
        return self.publisher is not None or (self._waits and not self._left_said)

    def origin(self) -> Origin:
        """What is known of its home."""
        return self.origins.of(self.upstream, self.home)

    # where it is, or goes

    def order(self, action: Action) -> Sequence[str]:
        """The origins to try, best first; none: they are not known yet. Players go where the publisher is."""
        if action is Action.PLAY and self.publisher is not None:
            return (self.home,) if self.home else ()
        uses = self.origins.uses(self.upstream)
        found = order_of(self.upstream, self.key, uses)
        if self.home in found and not uses[self.home].fault:
            return (self.home, *(one for one in found if one != self.home))
        return found

    def patience(self, since: float) -> float:
        """Until when an origin may be looked for by whoever lost his then, in the clock's seconds."""
        return since + max(1.0, self.route.options.grace)

    def patience_of_players(self, since: float) -> float:
        """As `patience`; players wait for the publisher."""
        return self.patience(since) + _BEHIND

    def settle(self, address: str) -> Sequence[asyncio.Task[None]]:
        """It is there now; what players do to get there."""
        self.lose_home()
        self.home = address
        self.origin().streams += 1
        found = (player.follow() for player in self.players)
        return [task for task in found if task is not None]

    def found(self, address: str) -> None:
        """A player has found it there; if nobody here publishes it, that is where it is."""
        if self.publisher is None and address != self.home:
            self.settle(address)

    def follow(self, route: RoutePlan) -> None:
        """Go by this from now on: move, if its pool or its home is not there any more."""
        self.route = route
        pools = {upstream.name: upstream for upstream, _ in route.backends}
        kept = pools.get(self.upstream.name)
        self.upstream = kept if kept is not None else pool_of(route, self.key)
        before, self.tally = self.tally, self._tally()
        if self.tally is not before:
            self._recount(before, self.tally)
        self._leave_if_bad()

    def begin_anew(self) -> None:
        """It was over, and somebody comes for it: it goes where a new stream goes now, which may be where it was."""
        upstream = pool_of(self.route, self.key)
        if upstream.name != self.upstream.name:
            self.lose_home()
            self.upstream = upstream
            self.tally = self._tally()

    def lose_home(self) -> None:
        """It is nowhere, for now."""
        if self.home:
            self.origin().streams -= 1
            self.home = ""

    def leave_home(self, reason: str) -> None:
        """Everybody goes to another origin, and stays with this one until there."""
        _log.info("stream leaves its origin", stream=self.key.text, origin=self.home, reason=reason)
        self.lose_home()
        if self.publisher is not None:
            self.publisher.move()
        else:
            for player in tuple(self.players):
                player.move()

    # who comes and goes

    def publish(self, publisher: "Publisher") -> None:
        """Somebody publishes it, instead of whoever did."""
        before, self.publisher = self.publisher, publisher
        if before is not None:
            before.taken_over()
            self.tally.publishers -= 1
        self.tally.publishers += 1
        self.tally.publishes += 1
        self.meter.clear()
        self._enter(waits=False)

    def left(self, publisher: "Publisher", *, said: bool) -> None:
        """A publisher has gone; who says so does not come back."""
        if self.publisher is not publisher:
            return
        self.publisher = None
        self.tally.publishers -= 1
        self._left_said = said
        self.meter.clear()
        self._enter(waits=bool(self.players) or not said)

    def join(self, player: "Player") -> None:
        """A player comes."""
        self.players[player] = None
        self.tally.players += 1
        self.tally.plays += 1

    def quit(self, player: "Player") -> None:
        """A player has gone."""
        if player in self.players:
            del self.players[player]
            self.tally.players -= 1

    def sweep(self) -> None:
        """What comes with time; call it about once a second."""
        now = self._now()
        if self.publisher is not None:
            self.publisher.sweep(now)
            if self.publisher is not None:  # it may have stalled
                self.meter.note(now, self.publisher.inflow.received, self.publisher.inflow.sight.frames)
                self._limit(now)
        for player in tuple(self.players):
            player.sweep(now)
        if self._waits and now - self.since > self.route.options.grace:
            self._enter(waits=False)
            for player in tuple(self.players):
                player.end("the publisher has not come back")
        self._leave_if_bad()

    def end(self, description: str, *, reason: str) -> None:
        """It is over for everybody."""
        if self.publisher is not None:
            self.publisher.end(description, reason=reason)
        for player in tuple(self.players):
            player.end(description)

    def ask_to_reconnect(self, description: str) -> None:
        """Have everybody come again, elsewhere, who can."""
        for one in (self.publisher, *self.players):
            if one is not None:
                one.ask_to_reconnect(description)

    def _limit(self, now: float) -> None:
        most, rate = self.route.options.limits.bitrate, self.meter.bitrate
        if self._ceiling.exceeded(now, rate, most):
            _log.warning("publisher sends too much", stream=self.key.text, kbps=round(rate), most=most)
            self.end(f"{rate:.0f} kbit/s: no more than {most} are let through", reason="bitrate")

    def _leave_if_bad(self) -> None:
        if not self.home:
            return
        if self.home not in {one.address for one in self.upstream.pool.endpoints}:
            self.leave_home("the origin is none of the pool any more")
        elif self.origin().health.sick and self._has_better():
            self.leave_home("the origin does not answer checks")

    def _has_better(self) -> bool:
        return any(not use.fault for use in self.origins.uses(self.upstream).values())

    def _tally(self) -> Tally:
        return self.around.tallies.of(str(self.route.route_id), str(self.upstream.name))

    def _recount(self, before: Tally, after: Tally) -> None:
        count = int(self.publisher is not None)
        before.publishers -= count
        after.publishers += count
        before.players -= len(self.players)
        after.players += len(self.players)

    def _enter(self, *, waits: bool) -> None:
        self._waits = waits
        self.since = self._now()

    def _now(self) -> float:
        return self.around.clock.monotonic()
