"""Link: one connection in flight. Carries out what the session decides, on two transports."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Target
from marchproxy.nlb.dataplane.relay.balancer import Seat
from marchproxy.nlb.dataplane.relay.header import encode_header
from marchproxy.nlb.dataplane.relay.lane import Lane
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.messages import (
    Abort,
    Choose,
    Chosen,
    ClientLost,
    Close,
    Command,
    Connect,
    Connected,
    ConnectFailed,
    Dropped,
    Event,
    FinishClient,
    FinishTarget,
    Introduced,
    Join,
    Judged,
    Outcome,
    StartTimer,
    StopTimer,
    TimedOut,
    Timer,
    TurnedAway,
)
from marchproxy.nlb.dataplane.relay.session import Phase, begin, step
from marchproxy.nlb.dataplane.relay.side import Side, client_side, target_side
from marchproxy.nlb.dataplane.relay.switch import Switch
from marchproxy.nlb.dataplane.relay.waiting import WaitingRooms
from marchproxy.wire.detect import Detected, detect
from marchproxy.wire.proxy_protocol import MalformedHeader, parse

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


class Link:
    """A client, sooner or later a target, and the bytes that arrived before both were there."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._session, self._first_commands = begin(shared.switch.opening)
        self.client = client_side(self, self)
        self.lane: Lane | None = None
        self.seat: Seat | None = None
        self.quiet_since = 0.0
        self._meant: Lane | None = None
        self._target: Side | None = None
        self._tried: tuple[InstanceId, ...] = ()
        self._dialing: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._peer = HostPort("", 0)
        self._local: HostPort | None = None
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

    # -- the sink of the client's side until there is a target

    def write(self, data: bytes, /) -> None:
        """Keep what the client sends; look at all of it as long as it is to tell something."""
        self._early.append(data)
        phase = self._session.phase
        if phase is Phase.INTRODUCING:
            self._introduce()
        elif phase is Phase.DETECTING:
            self._detect()
        if self.client.moved > self._shared.limits.high_water and self.client.transport:
            self.client.transport.pause_reading()  # until it is joined

    def is_closing(self) -> bool:
        """No: there is always room for one more read."""
        return False

    # -- what the two sides and the listener report

    def opened(self, side: Side) -> None:
        """A transport is there: the client's, or that of the target which was tried."""
        if side.transport is not None:
            limits = self._shared.limits
            side.transport.set_write_buffer_limits(high=limits.high_water, low=limits.low_water)
        if side is self.client:
            self._accept(side)
        elif side is self._target and self._session.phase is Phase.CONNECTING:
            self.happened(Connected())
        else:
            side.close(flush=False)

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
            self._give_up_dialing("no answer in time")
        else:
            self.happened(TimedOut(timer))

    def drop(self) -> None:
        """End it now."""
        self.happened(Dropped())

    def shed(self) -> None:
        """End it politely, after what waits to be written."""
        self.happened(TurnedAway(Outcome.SHED))

    # -- the beginning

    def _accept(self, client: Side) -> None:
        shared = self._shared
        peer = client.transport.get_extra_info("peername") if client.transport else None
        if len(shared.links) >= shared.limits.max_connections:
            shared.switch.first.closed(Outcome.DENIED)
            client.close(flush=False)
            return
        shared.links.add(self)
        if peer is None:  # gone between the handshake and now
            self.happened(ClientLost())
            return
        self._peer = HostPort(peer[0], peer[1])
        introduced = self._session.phase is Phase.INTRODUCING
        if not shared.switch.trusts(peer[0]) or not (introduced or shared.switch.lets_in(peer[0])):
            self.happened(TurnedAway(Outcome.DENIED))
            return
        for command in self._first_commands:
            self._carry_out(command)

    def _introduce(self) -> None:
        data = b"".join(self._early)
        try:
            header = parse(data)
        except MalformedHeader as error:
            _log.debug("PROXY protocol header refused", peer=str(self._peer), reason=str(error))
            self.happened(TurnedAway(Outcome.MALFORMED))
            return
        self._early = [data]
        if header is None:
            return
        self.client.moved -= header.size
        self._early = [data[header.size :]] if len(data) > header.size else []
        if header.source and header.destination:
            self._peer = HostPort(header.source.host, header.source.port)
            self._local = HostPort(header.destination.host, header.destination.port)
        if not self._shared.switch.lets_in(self._peer.host):
            self.happened(TurnedAway(Outcome.DENIED))
            return
        self.happened(Introduced())
        if self._early and self._session.phase is Phase.DETECTING:
            self._detect()

    def _detect(self) -> None:
        if len(self._early) > 1:
            self._early = [b"".join(self._early)]  # one read, the usual case, is not copied
        limit = self._shared.limits.detection_bytes
        self.happened(Judged(detect(self._early[0], self._session.opening.enabled, limit=limit)))

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
                self._target = target_side(self)
                self._dialing = self._shared.group.create_task(self._dial(target, self._target))
                self._dialing.add_done_callback(self._dialed)
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
            self._meant = lane = self._shared.switch.lane_of(detected)
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

    async def _dial(self, target: Target, side: Side) -> None:
        try:
            address = _address(target.endpoint.address)
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: side, address.host, address.port)
        except (OSError, ValueError) as error:
            if side is self._target:
                self._give_up_dialing(str(error))

    def _dialed(self, attempt: asyncio.Task[None]) -> None:
        # not at the end of the attempt itself, which one that is cancelled before it began never reaches
        if attempt is self._dialing:
            self._dialing = None
            self._end_if_over()

    def _give_up_dialing(self, reason: str) -> None:
        if self._session.phase is not Phase.CONNECTING or self.lane is None or self.seat is None:
            return
        _log.debug("target unreachable", instance=self.seat.target.instance_id, reason=reason)
        self._stop_dialing()
        seat, self.seat = self.seat, None
        seat.load(-1)
        self.lane.balancer.failed(seat, self._shared.clock.monotonic())
        self._tried = (*self._tried, seat.target.instance_id)
        self.happened(ConnectFailed())

    def _stop_dialing(self) -> None:
        # once there is a transport the attempt is over, and uvloop would end a cancelled one's without telling its protocol
        connected = self._target is not None and self._target.transport is not None
        if self._dialing is not None and self._dialing is not asyncio.current_task() and not connected:
            self._dialing.cancel()

    def _join(self, target: Target) -> None:
        client, other = self.client, self._target
        if client.transport is None or other is None or other.transport is None or not self.lane:
            return  # its loss is on the way
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
        lane = self._meant or self._shared.switch.first
        lane.closed(outcome)
        self._early = []
        self._stop_dialing()
        self._close_sides(flush=flush)

    def _close_sides(self, *, flush: bool) -> None:
        self.client.close(flush=flush)
        if self._target is not None:
            self._target.close(flush=flush)

    def _destination(self) -> HostPort:
        if self._local is None:
            name = self.client.transport.get_extra_info("sockname") if self.client.transport else ("", 0)
            self._local = HostPort(name[0], name[1])
        return self._local

    def _is_idle(self) -> bool:
        moved = self.received + self.sent
        self._quiet_rounds = self._quiet_rounds + 1 if moved == self._seen else 0
        self._seen = moved
        return self._quiet_rounds >= IDLE_ROUNDS

    def _end_if_over(self) -> None:
        target_open = self._target is not None and self._target.transport is not None
        if self.client.transport or target_open or self._dialing or self not in self._shared.links:
            return
        self._shared.rooms.leave_all(self)
        self._shared.links.discard(self)
        if self.lane is not None:
            self.lane.leave(self._peer.host, self.received, self.sent)
        if self.seat is not None:
            self.seat.load(-1)
            self.seat.tally.received += self.received
            self.seat.tally.sent += self.sent
        if not self._shared.links:
            self._shared.on_last()


@lru_cache(maxsize=4096)
def _address(text: str) -> HostPort:
    return HostPort.parse(text)
