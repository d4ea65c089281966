"""Session: the life of one relayed connection as a table. No I/O, no clock.

introducing → detecting → choosing → connecting → relaying → closed. An event that the table does not know in a phase
changes nothing: it is the echo of something already dealt with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

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
    Introduced,
    Join,
    Judged,
    Outcome,
    StartTimer,
    StopTimer,
    TargetFinished,
    TargetLost,
    TimedOut,
    Timer,
    TurnedAway,
)
from marchproxy.wire.detect import Detected, NeedMore, Protocol, Unknown, silent


class Phase(Enum):
    """Where a connection is in its life."""

    __hash__ = (
        object.__hash__
    )  # members are singletons; Enum's own hash is a Python call per look into the table

    INTRODUCING = "introducing"
    DETECTING = "detecting"
    CHOOSING = "choosing"
    CONNECTING = "connecting"
    RELAYING = "relaying"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a port's connections begin.

    `enabled`: the protocols that are told apart. `rest`: somebody takes what is none of them; with nothing enabled
    nobody waits for bytes. `introduced`: a PROXY protocol header comes first. `attempts` to connect, at most.
    """

    enabled: frozenset[Protocol] = frozenset()
    rest: bool = False
    introduced: bool = False
    attempts: int = 3


class Session(NamedTuple):  # not a dataclass: it is replaced at every event, at half the cost
    """The state of one connection. `failed` attempts to connect; `target` is the one in use."""

    opening: Opening
    phase: Phase = Phase.DETECTING
    heard: bool = False
    detected: Detected | None = None
    target: Target | None = None
    failed: int = 0
    client_finished: bool = False
    target_finished: bool = False

    def to(self, phase: Phase) -> "Session":
        """The same in another phase, at half the cost of `_replace`."""
        return Session(self.opening, phase, *self[2:])


Step: TypeAlias = tuple[Session, tuple[Command, ...]]

_STOP_DETECTION = (StopTimer(Timer.SILENCE), StopTimer(Timer.DETECTION))


def begin(opening: Opening) -> Step:
    """A connection that has just been accepted."""
    if opening.introduced:
        return Session(opening, Phase.INTRODUCING), (StartTimer(Timer.DETECTION),)
    return _open(Session(opening))


def step(session: Session, event: Event) -> Step:
    """What becomes of the connection, and what is to be done, in this order."""
    decide = _TABLE.get((session.phase, type(event)))
    return decide(session, event) if decide else (session, ())


def _open(session: Session) -> Step:
    enabled, rest = session.opening.enabled, session.opening.rest
    if not enabled:
        return session.to(Phase.CHOOSING), (Choose(None),)
    timers = [StartTimer(Timer.DETECTION)]
    if rest or Protocol.MYSQL in enabled:
        timers.append(StartTimer(Timer.SILENCE))
    return session.to(Phase.DETECTING), tuple(timers)


def _close(session: Session, outcome: Outcome, *, flush: bool = False) -> Step:
    lingering = (StartTimer(Timer.LINGER),) if flush else ()
    return session.to(Phase.CLOSED), (Close(outcome, flush), *lingering)


def _introduced(session: Session, _: Introduced) -> Step:
    opened, commands = _open(session)
    return opened, (StopTimer(Timer.DETECTION), *commands)


def _introduction_timed_out(session: Session, _: TimedOut) -> Step:
    return _close(session, Outcome.TIMEOUT)


def _introduction_cut_short(session: Session, _: ClientFinished) -> Step:
    return _close(session, Outcome.MALFORMED)


def _judge(session: Session, event: Judged) -> Step:
    match event.verdict:
        case NeedMore():
            return session._replace(heard=True), () if session.heard else (StopTimer(Timer.SILENCE),)
        case Detected() as detected:
            return _choose(session, detected)
        case Unknown():
            return _give_up(session, Outcome.UNKNOWN)


def _give_up(session: Session, outcome: Outcome) -> Step:
    """It is none of the protocols that are told apart."""
    return _choose(session, None) if session.opening.rest else _close(session, outcome)


def _choose(session: Session, detected: Detected | None) -> Step:
    choosing = session._replace(phase=Phase.CHOOSING, detected=detected)
    return choosing, (*_STOP_DETECTION, Choose(detected))


def _detection_timed_out(session: Session, event: TimedOut) -> Step:
    match event.timer:
        case Timer.SILENCE if not session.heard:
            return _judge(session, Judged(silent(session.opening.enabled)))
        case Timer.DETECTION:
            return _give_up(session, Outcome.TIMEOUT)
        case _:
            return session, ()


def _detection_cut_short(session: Session, _: ClientFinished) -> Step:
    if not session.heard:
        return _close(session, Outcome.CLIENT_GONE)
    return _give_up(session._replace(client_finished=True), Outcome.UNKNOWN)


def _connect(session: Session, event: Chosen) -> Step:
    if event.target is None:
        return _close(session, Outcome.REFUSED)
    connecting = session._replace(phase=Phase.CONNECTING, target=event.target)
    return connecting, (Connect(event.target),)


def _connect_next(session: Session, _: ConnectFailed) -> Step:
    failed = session._replace(phase=Phase.CHOOSING, failed=session.failed + 1)
    if failed.failed >= session.opening.attempts:
        return _close(failed, Outcome.REFUSED)
    return failed, (Choose(session.detected),)


def _join(session: Session, _: Connected) -> Step:
    if session.target is None:
        return session, ()
    ending = (FinishTarget(),) if session.client_finished else ()
    commands = (Join(session.target), StartTimer(Timer.IDLE), *ending)
    return session.to(Phase.RELAYING), commands


def _remember_client_finished(session: Session, _: ClientFinished) -> Step:
    return session._replace(client_finished=True), ()


def _finish_target(session: Session, _: ClientFinished) -> Step:
    if session.client_finished:
        return session, ()
    if session.target_finished:
        return _close(session, Outcome.FINISHED, flush=True)
    return session._replace(client_finished=True), (FinishTarget(),)


def _finish_client(session: Session, _: TargetFinished) -> Step:
    if session.target_finished:
        return session, ()
    if session.client_finished:
        return _close(session, Outcome.FINISHED, flush=True)
    return session._replace(target_finished=True), (FinishClient(),)


def _idle(session: Session, event: TimedOut) -> Step:
    return _close(session, Outcome.IDLE) if event.timer is Timer.IDLE else (session, ())


def _client_left(session: Session, _: ClientLost) -> Step:
    return _close(session, Outcome.CLIENT_GONE)


def _client_reset(session: Session, _: ClientLost) -> Step:
    return _close(session, Outcome.RESET)


def _target_reset(session: Session, _: TargetLost) -> Step:
    return _close(session, Outcome.RESET, flush=True)  # what the target had already sent is the client's


def _turn_away(session: Session, event: TurnedAway) -> Step:
    return _close(session, event.outcome, flush=session.phase is Phase.RELAYING)


def _drop(session: Session, _: Dropped) -> Step:
    return _close(session, Outcome.DROPPED)


def _abort(session: Session, _: Dropped | TimedOut) -> Step:
    return session, (Abort(),)


# a handler takes the event of its own row, which the key's type says and a Mapping's value type cannot
_TABLE: Mapping[tuple[Phase, type[Event]], Callable[[Session, Any], Step]] = {
    (Phase.INTRODUCING, Introduced): _introduced,
    (Phase.INTRODUCING, TurnedAway): _turn_away,
    (Phase.INTRODUCING, TimedOut): _introduction_timed_out,
    (Phase.INTRODUCING, ClientFinished): _introduction_cut_short,
    (Phase.INTRODUCING, ClientLost): _client_left,
    (Phase.INTRODUCING, Dropped): _drop,
    (Phase.DETECTING, Judged): _judge,
    (Phase.DETECTING, TurnedAway): _turn_away,
    (Phase.DETECTING, TimedOut): _detection_timed_out,
    (Phase.DETECTING, ClientFinished): _detection_cut_short,
    (Phase.DETECTING, ClientLost): _client_left,
    (Phase.DETECTING, Dropped): _drop,
    (Phase.CHOOSING, Chosen): _connect,
    (Phase.CHOOSING, TurnedAway): _turn_away,
    (Phase.CONNECTING, Connected): _join,
    (Phase.CONNECTING, ConnectFailed): _connect_next,
    (Phase.CONNECTING, ClientFinished): _remember_client_finished,
    (Phase.CONNECTING, ClientLost): _client_left,
    (Phase.CONNECTING, Dropped): _drop,
    (Phase.RELAYING, ClientFinished): _finish_target,
    (Phase.RELAYING, TargetFinished): _finish_client,
    (Phase.RELAYING, ClientLost): _client_reset,
    (Phase.RELAYING, TargetLost): _target_reset,
    (Phase.RELAYING, TurnedAway): _turn_away,
    (Phase.RELAYING, TimedOut): _idle,
    (Phase.RELAYING, Dropped): _drop,
    (Phase.CLOSED, TimedOut): _abort,
    (Phase.CLOSED, Dropped): _abort,
}
