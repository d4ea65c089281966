"""Session: the life of one relayed connection as a table. No I/O, no clock.

detecting → choosing → connecting → relaying → closed. An event that the table does not know in a phase changes nothing:
it is the echo of something already dealt with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

from marchproxy.model.plan import Target
from marchproxy.nlb.dataplane.relay.messages import (
    Abort,
    Choose,
    Chosen,
    ClientFinished,
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
    Join,
    Judged,
    Outcome,
    StartTimer,
    StopTimer,
    TargetFinished,
    TargetLost,
    TimedOut,
    Timer,
)
from marchproxy.wire.detect import Detected, NeedMore, Protocol, Unknown, silent


class Phase(Enum):
    """Where a connection is in its life."""

    __hash__ = (
        object.__hash__
    )  # members are singletons; Enum's own hash is a Python call per look into the table

    DETECTING = "detecting"
    CHOOSING = "choosing"
    CONNECTING = "connecting"
    RELAYING = "relaying"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Session:
    """The state of one connection. `targets` are those not yet given up; the first is the one in use."""

    enabled: frozenset[Protocol]
    phase: Phase = Phase.DETECTING
    heard: bool = False
    detected: Detected | None = None
    targets: tuple[Target, ...] = ()
    client_finished: bool = False
    target_finished: bool = False


Step: TypeAlias = tuple[Session, tuple[Command, ...]]


def begin(enabled: frozenset[Protocol]) -> Step:
    """A connection that has just been accepted."""
    timers = [StartTimer(Timer.DETECTION)]
    if Protocol.MYSQL in enabled:
        timers.append(StartTimer(Timer.SILENCE))
    return Session(enabled), tuple(timers)


def step(session: Session, event: Event) -> Step:
    """What becomes of the connection, and what is to be done, in this order."""
    decide = _TABLE.get((session.phase, type(event)))
    return decide(session, event) if decide else (session, ())


def _close(session: Session, outcome: Outcome, *, flush: bool = False) -> Step:
    lingering = (StartTimer(Timer.LINGER),) if flush else ()
    return replace(session, phase=Phase.CLOSED), (Close(outcome, flush), *lingering)


def _judge(session: Session, event: Judged) -> Step:
    match event.verdict:
        case NeedMore():
            return replace(session, heard=True), () if session.heard else (StopTimer(Timer.SILENCE),)
        case Detected() as detected:
            return _choose(session, detected)
        case Unknown():
            return _close(session, Outcome.UNKNOWN)


def _choose(session: Session, detected: Detected) -> Step:
    commands = (StopTimer(Timer.SILENCE), StopTimer(Timer.DETECTION), Choose(detected))
    return replace(session, phase=Phase.CHOOSING, detected=detected), commands


def _detection_timed_out(session: Session, event: TimedOut) -> Step:
    match event.timer:
        case Timer.SILENCE if not session.heard:
            return _judge(session, Judged(silent(session.enabled)))
        case Timer.DETECTION:
            return _close(session, Outcome.TIMEOUT)
        case _:
            return session, ()


def _detection_cut_short(session: Session, _: ClientFinished) -> Step:
    return _close(session, Outcome.UNKNOWN if session.heard else Outcome.CLIENT_GONE)


def _connect(session: Session, event: Chosen) -> Step:
    if not event.targets:
        return _close(session, Outcome.REFUSED)
    return replace(session, phase=Phase.CONNECTING, targets=event.targets), (Connect(event.targets[0]),)


def _connect_next(session: Session, _: ConnectFailed) -> Step:
    return _connect(session, Chosen(session.targets[1:]))


def _join(session: Session, _: Connected) -> Step:
    ending = (FinishTarget(),) if session.client_finished else ()
    commands = (Join(session.targets[0]), StartTimer(Timer.IDLE), *ending)
    return replace(session, phase=Phase.RELAYING), commands


def _remember_client_finished(session: Session, _: ClientFinished) -> Step:
    return replace(session, client_finished=True), ()


def _finish_target(session: Session, _: ClientFinished) -> Step:
    if session.client_finished:
        return session, ()
    if session.target_finished:
        return _close(session, Outcome.FINISHED, flush=True)
    return replace(session, client_finished=True), (FinishTarget(),)


def _finish_client(session: Session, _: TargetFinished) -> Step:
    if session.target_finished:
        return session, ()
    if session.client_finished:
        return _close(session, Outcome.FINISHED, flush=True)
    return replace(session, target_finished=True), (FinishClient(),)


def _idle(session: Session, event: TimedOut) -> Step:
    return _close(session, Outcome.IDLE) if event.timer is Timer.IDLE else (session, ())


def _client_left(session: Session, _: ClientLost) -> Step:
    return _close(session, Outcome.CLIENT_GONE)


def _client_reset(session: Session, _: ClientLost) -> Step:
    return _close(session, Outcome.RESET)


def _target_reset(session: Session, _: TargetLost) -> Step:
    return _close(session, Outcome.RESET, flush=True)  # what the target had already sent is the client's


def _drop(session: Session, _: Dropped) -> Step:
    return _close(session, Outcome.DROPPED)


def _abort(session: Session, _: Dropped | TimedOut) -> Step:
    return session, (Abort(),)


# a handler takes the event of its own row, which the key's type says and a Mapping's value type cannot
_TABLE: Mapping[tuple[Phase, type[Event]], Callable[[Session, Any], Step]] = {
    (Phase.DETECTING, Judged): _judge,
    (Phase.DETECTING, TimedOut): _detection_timed_out,
    (Phase.DETECTING, ClientFinished): _detection_cut_short,
    (Phase.DETECTING, ClientLost): _client_left,
    (Phase.DETECTING, Dropped): _drop,
    (Phase.CHOOSING, Chosen): _connect,
    (Phase.CONNECTING, Connected): _join,
    (Phase.CONNECTING, ConnectFailed): _connect_next,
    (Phase.CONNECTING, ClientFinished): _remember_client_finished,
    (Phase.CONNECTING, ClientLost): _client_left,
    (Phase.CONNECTING, Dropped): _drop,
    (Phase.RELAYING, ClientFinished): _finish_target,
    (Phase.RELAYING, TargetFinished): _finish_client,
    (Phase.RELAYING, ClientLost): _client_reset,
    (Phase.RELAYING, TargetLost): _target_reset,
    (Phase.RELAYING, TimedOut): _idle,
    (Phase.RELAYING, Dropped): _drop,
    (Phase.CLOSED, TimedOut): _abort,
    (Phase.CLOSED, Dropped): _abort,
}
