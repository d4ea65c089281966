"""Link: one connection in flight. Carries out what the session decides, on two transports."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, assert_never

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.plan import Target
from marchproxy.nlb.dataplane.relay.counts import Ledger, Share
from marchproxy.nlb.dataplane.relay.header import encode_header
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
    Judged,
    Outcome,
    StartTimer,
    StopTimer,
    TimedOut,
    Timer,
)
from marchproxy.nlb.dataplane.relay.session import Phase, begin, step
from marchproxy.nlb.dataplane.relay.side import Side, client_side, target_side
from marchproxy.nlb.dataplane.relay.waiting import WaitingRooms
from marchproxy.wire.detect import Detected, Protocol, detect

_log = get_logger(__name__)
#: The idle time is waited for in so many rounds, so that no read needs to look at the clock.
IDLE_ROUNDS = 4

Choice: TypeAlias = Callable[[Detected, HostPort], Sequence[Target]]
"""Who may take a connection of this kind from this client, best first. Called once per connection, on the loop."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all links of a listener have in common."""

    enabled: frozenset[Protocol]
    choose: Choice
    limits: RelayLimits
    clock: Clock
    group: asyncio.TaskGroup
    rooms: "WaitingRooms[Timer, Link]"
    ledger: Ledger
    links: "set[Link]"
    on_last: Callable[[], None]


class Link:
    """A client, sooner or later a target, and the bytes that arrived before both were there."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._session, self._first_commands = begin(shared.enabled)
        self.client = client_side(self, self)
        self._target: Side | None = None
        self._joined: Target | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._peer = HostPort("", 0)
        self._quiet_rounds = 0
        self._seen = 0

    def share(self) -> Share:
        """What this connection adds to the counts now."""
        detected = self._session.detected
        return Share(
            protocol=detected.protocol if detected else None,
            target=self._joined.instance_id if self._joined else None,
            from_client=self.client.moved,
            from_target=self._target.moved if self._target else 0,
        )

    # -- the sink of the client's side until there is a target

    def write(self, data: bytes, /) -> None:
        """Keep what the client sends; while detecting, look at all of it."""
        self._early.append(data)
        if self._session.phase is Phase.DETECTING:
            self._early = [b"".join(self._early)]  # one read, the usual case, is not copied
            limit = self._shared.limits.detection_bytes
            self.happened(Judged(detect(self._early[0], self._shared.enabled, limit=limit)))
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
        elif self._session.phase is Phase.CONNECTING:
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
        else:
            self.happened(TimedOut(timer))

    def drop(self) -> None:
        """End it now."""
        self.happened(Dropped())

    # -- carrying out

    def _accept(self, client: Side) -> None:
        shared = self._shared
        peer = client.transport.get_extra_info("peername") if client.transport else None
        if len(shared.links) >= shared.limits.max_connections:
            shared.ledger.turned_away += 1
            client.close(flush=False)
            return
        shared.ledger.accepted += 1
        shared.links.add(self)
        if peer is None:  # gone between the handshake and now
            self._carry_out(Close(Outcome.CLIENT_GONE))
            return
        self._peer = HostPort(peer[0], peer[1])
        for command in self._first_commands:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case StartTimer(timer):
                self._shared.rooms.enter(timer, self, self._shared.clock.monotonic())
            case StopTimer(timer):
                self._shared.rooms.leave(timer, self)
            case Choose(detected):
                self._choose(detected)
            case Connect(target):
                self._target = target_side(self)
                self._dialing = self._shared.group.create_task(self._dial(target, self._target))
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

    def _choose(self, detected: Detected) -> None:
        self._shared.ledger.detected(detected.protocol)
        try:
            targets = tuple(self._shared.choose(detected, self._peer))
        except Exception:  # noqa: BLE001 - a fault in the choice costs this connection, not the listener; it is logged
            _log.exception("no target could be chosen", protocol=detected.protocol.value)
            targets = ()
        self.happened(Chosen(targets[: self._shared.limits.connect_attempts]))

    async def _dial(self, target: Target, side: Side) -> None:
        try:
            address = _address(target.endpoint.address)
            async with asyncio.timeout(self._shared.limits.connect_seconds):
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: side, address.host, address.port)
        except (OSError, ValueError) as error:
            _log.debug("target unreachable", instance=target.instance_id, reason=str(error))
        else:
            return
        finally:
            self._dialing = None
            self._end_if_over()
        if self._session.phase is Phase.CONNECTING:
            self._shared.ledger.unreachable(target.instance_id)
            self.happened(ConnectFailed())

    def _join(self, target: Target) -> None:
        client, other = self.client, self._target
        if client.transport is None or other is None or other.transport is None:
            return  # its loss is on the way
        first = [encode_header(self._peer, self._local())] if target.endpoint.proxy_protocol else []
        client.sink, client.other = other.transport, other
        other.sink, other.other = client.transport, client
        client.transport.resume_reading()  # before the first write, which may pause it again
        other.transport.writelines([*first, *self._early])
        self._early = []
        self._joined = target
        self._seen = client.moved
        self._shared.ledger.joined(target.instance_id)

    def _finish_target(self) -> None:
        if self._target is not None:
            self._target.finish()

    def _close(self, outcome: Outcome, *, flush: bool) -> None:
        self._shared.rooms.leave_all(self)
        self._shared.ledger.closed(
            outcome, self._session.detected.protocol if self._session.detected else None
        )
        self._early = []
        if self._dialing is not None:
            self._dialing.cancel()
        self._close_sides(flush=flush)

    def _close_sides(self, *, flush: bool) -> None:
        self.client.close(flush=flush)
        if self._target is not None:
            self._target.close(flush=flush)

    def _local(self) -> HostPort:
        name = self.client.transport.get_extra_info("sockname") if self.client.transport else ("", 0)
        return HostPort(name[0], name[1])

    def _is_idle(self) -> bool:
        moved = self.client.moved + (self._target.moved if self._target else 0)
        self._quiet_rounds = self._quiet_rounds + 1 if moved == self._seen else 0
        self._seen = moved
        return self._quiet_rounds >= IDLE_ROUNDS

    def _end_if_over(self) -> None:
        target_open = self._target is not None and self._target.transport is not None
        if self.client.transport or target_open or self._dialing or self not in self._shared.links:
            return
        self._shared.rooms.leave_all(self)
        self._shared.ledger.ended(self.share())
        self._shared.links.discard(self)
        if not self._shared.links:
            self._shared.on_last()


@lru_cache(maxsize=4096)
def _address(text: str) -> HostPort:
    return HostPort.parse(text)
