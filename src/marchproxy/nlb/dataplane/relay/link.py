"""Link: one connection in flight. Carries out what the session decides, on two transports."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Target
from marchproxy.nlb.dataplane.relay.arrival import Arrival
from marchproxy.nlb.dataplane.relay.balancer import Seat
from marchproxy.nlb.dataplane.relay.dialing import Attempt
from marchproxy.nlb.dataplane.relay.header import encode_header
from marchproxy.nlb.dataplane.relay.lane import Lane
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.messages import (
    Abort,
    Choose,
    Chosen,
    Close,
    Command,
    Connect,
    Connected,
    ConnectFailed,
    Dropped,
    Event,
    FinishClient,
    FinishTarget,
    Join,
    Outcome,
    StartTimer,
    StopTimer,
    TimedOut,
    Timer,
    TurnedAway,
)
from marchproxy.nlb.dataplane.relay.session import Phase, step
from marchproxy.nlb.dataplane.relay.side import Side, client_side, target_side
from marchproxy.nlb.dataplane.relay.switch import Switch
from marchproxy.nlb.dataplane.relay.waiting import WaitingRooms
from marchproxy.wire.detect import Detected

_log = get_logger(__name__)
#: The idle time is waited for in so many rounds, so that no read needs to look at the clock.
IDLE_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Shared:
    """What all links of a listener have in common."""

    switch: Switch
    limits: RelayLimits
    clock: Clock
    group: asyncio.TaskGroup
    rooms: "WaitingRooms[Timer, Link]"
    links: "set[Link]"
    on_last: Callable[[], None]


class Link(Arrival):
    """A client, sooner or later a target, and the bytes that arrived before both were there."""

    __slots__ = (
        "_attempt",
        "_first_commands",
        "_meant",
        "_noticed",
        "_quiet_rounds",
        "_seen",
        "_shared",
        "_target",
        "_tried",
        "lane",
        "quiet_since",
        "seat",
    )

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared.switch, shared.limits)
        self._shared = shared
        self._first_commands = shared.switch.beginning[1]
        self.client = client_side(self, self)
        self.lane: Lane | None = None
        self.seat: Seat | None = None
        self.quiet_since = 0.0
        self._meant: Lane | None = None
        self._target: Side | None = None
        self._tried: tuple[InstanceId, ...] = ()
        self._attempt: Attempt | None = None
        self._quiet_rounds = 0
        self._seen = self._noticed = 0

    @property
    def received(self) -> int:
        """Bytes from the client, from the first one that is its own."""
        return self.client.moved

    @property
    def sent(self) -> int:
        """Bytes from the target."""
        return self._target.moved if self._target else 0

    @property
    def relaying(self) -> bool:
        """Whether a target has it."""
        return self._session.phase is Phase.RELAYING

    def look(self, now: float) -> None:
        """Note whether anything moved since the last look."""
        moved = self.received + self.sent
        if moved != self._noticed:
            self._noticed, self.quiet_since = moved, now

    # -- what the two sides and the listener report

    def opened(self, side: Side) -> None:
        """A transport is there: the client's, or that of the target which was tried."""
        if side.transport is not None:
            limits = self._limits
            side.transport.set_write_buffer_limits(high=limits.high_water, low=limits.low_water)
        if side is self.client:
            self._begin()
        elif side is self._target and self._session.phase is Phase.CONNECTING:
            self.happened(Connected())
        else:
            side.close(flush=False)
            side.transport = None  # uvloop does not tell the end of one whose attempt was cancelled

    def happened(self, event: Event) -> None:
        """Let the session decide and carry it out."""
        self._session, commands = step(self._session, event)
        for command in commands:
            self._carry_out(command)

    def lost(self, event: Event) -> None:
        """A transport is gone."""
        self.happened(event)
        self._end_if_over()

    def timed_out(self, timer: Timer) -> None:
        """A wait is over; for IDLE, one round of it."""
        if timer is Timer.IDLE and not self._is_idle():
            self._carry_out(StartTimer(timer))
        elif timer is Timer.CONNECT:
            self._try_another("no answer in time")
        else:
            self.happened(TimedOut(timer))

    def drop(self) -> None:
        """End it now."""
        self.happened(Dropped())

    def shed(self) -> None:
        """End it politely, after what waits to be written."""
        self.happened(TurnedAway(Outcome.SHED))

    def _begin(self) -> None:
        if not self._arrive(full=len(self._shared.links) >= self._limits.max_connections):
            return
        self._shared.links.add(self)
        if self._session.phase is Phase.INTRODUCING or self._may_enter():
            for command in self._first_commands:
                self._carry_out(command)

    # -- carrying out

    def _carry_out(self, command: Command) -> None:
        match command:
            case StartTimer(timer):
                self._wait_for(timer)
            case StopTimer(timer):
                self._shared.rooms.leave(timer, self)
            case Choose(detected):
                self._choose(detected)
            case Connect(target):
                self._connect(target)
            case Join(target):
                self._join(target)
            case FinishClient():
                self.client.finish()
            case FinishTarget():
                self._finish_target()
            case Close(outcome, flush):
                self._close(outcome, flush=flush)
            case Abort():
                self._close_sides(flush=False)
            case _:
                assert_never(command)

    def _wait_for(self, timer: Timer) -> None:
        seconds = self.lane.idle_seconds / IDLE_ROUNDS if timer is Timer.IDLE and self.lane else None
        self._shared.rooms.enter(timer, self, self._shared.clock.monotonic(), seconds)

    def _choose(self, detected: Detected | None) -> None:
        now = self._shared.clock.monotonic()
        if self.lane is None:
            self._meant = lane = self._switch.lane_of(detected)
            if lane is None or not lane.admit(self._peer.host, now):
                self.happened(TurnedAway(Outcome.DENIED if lane else Outcome.UNKNOWN))
                return
            self.lane = lane
        seat = self.lane.pick(self._peer.host, self._tried, now)
        if seat is None:
            self.happened(Chosen(None))
            return
        self.seat = seat
        seat.load(1)
        self.happened(Chosen(seat.target))

    def _connect(self, target: Target) -> None:
        self._wait_for(Timer.CONNECT)
        self._target = target_side(self)
        self._attempt = Attempt(self._shared.group, target, self._target, self._attempt_failed)
        self._attempt.when_over(self._attempt_over)

    def _attempt_failed(self, attempt: Attempt, reason: str) -> None:
        if attempt is self._attempt:
            self._try_another(reason)

    def _attempt_over(self, attempt: Attempt) -> None:
        if attempt is self._attempt:
            self._attempt = None
            self._end_if_over()

    def _try_another(self, reason: str) -> None:
        if self._session.phase is not Phase.CONNECTING or self.lane is None or self.seat is None:
            return
        _log.debug("target unreachable", instance=self.seat.target.instance_id, reason=reason)
        self._shared.rooms.leave(Timer.CONNECT, self)
        if self._attempt is not None:
            self._attempt.give_up()
        seat, self.seat = self.seat, None
        seat.load(-1)
        self.lane.balancer.failed(seat, self._shared.clock.monotonic())
        self._tried = (*self._tried, seat.target.instance_id)
        self.happened(ConnectFailed())

    def _join(self, target: Target) -> None:
        client, other = self.client, self._target
        if client.transport is None or other is None or other.transport is None or not self.lane:
            return  # its loss is on the way
        self._shared.rooms.leave(Timer.CONNECT, self)
        if self.seat is not None:
            self.lane.balancer.reached(self.seat)
        first = [encode_header(self._peer, self._destination())] if target.endpoint.proxy_protocol else []
        client.sink, client.other = other.transport, other
        other.sink, other.other = client.transport, client
        client.transport.resume_reading()  # before the first write, which may pause it again
        if first or self._early:
            other.transport.writelines([*first, *self._early])
        self._early = []
        self._seen = client.moved
        self.quiet_since = self._shared.clock.monotonic()

    def _finish_target(self) -> None:
        if self._target is not None:
            self._target.finish()

    def _close(self, outcome: Outcome, *, flush: bool) -> None:
        self._shared.rooms.leave_all(self)
        lane = self._meant or self._switch.first
        lane.closed(outcome)
        self._early = []
        if self._attempt is not None:
            self._attempt.give_up()
        self._close_sides(flush=flush)

    def _close_sides(self, *, flush: bool) -> None:
        self.client.close(flush=flush)
        if self._target is not None:
            self._target.close(flush=flush)

    def _is_idle(self) -> bool:
        moved = self.received + self.sent
        self._quiet_rounds = self._quiet_rounds + 1 if moved == self._seen else 0
        self._seen = moved
        return self._quiet_rounds >= IDLE_ROUNDS

    def _end_if_over(self) -> None:
        target_open = self._target is not None and self._target.transport is not None
        if self.client.transport or target_open or self._attempt or self not in self._shared.links:
            return
        self._shared.rooms.leave_all(self)
        self._shared.links.discard(self)
        self._switch.depart(self._source)
        if self.lane is not None:
            self.lane.leave(self.received, self.sent)
        if self.seat is not None:
            self.seat.load(-1)
            self.seat.tally.received += self.received
            self.seat.tally.sent += self.sent
        self.client.forget()
        if self._target is not None:
            self._target.forget()
        if not self._shared.links:
            self._shared.on_last()
