import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.module import InstanceId, TrafficEndpoint, Version
from marchproxy.model.module import Protocol as Served
from marchproxy.model.plan import Target
from marchproxy.nlb.dataplane.relay.messages import (
    Abort,
    Choose,
    Chosen,
    ClientFinished,
    ClientLost,
    Close,
    Connect,
    Connected,
    ConnectFailed,
    Dropped,
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
from marchproxy.nlb.dataplane.relay.session import Opening, Phase, begin, step
from marchproxy.wire.detect import ALL, Detected, NeedMore, Protocol, Unknown

HTTP = Detected(Protocol.HTTP1)
MYSQL = Detected(Protocol.MYSQL, "silence")
WITHOUT_MYSQL = ALL - {Protocol.MYSQL}


def target(name):
    endpoint = TrafficEndpoint("traffic", Served.TCP, "192.0.2.1:80")
    return Target(InstanceId(name), Version("v1"), endpoint, 100)


A, B = target("a"), target("b")
TO_CHOICE = [Judged(HTTP)]
TO_CONNECT = [*TO_CHOICE, Chosen(A)]
TO_RELAY = [*TO_CONNECT, Connected()]
STOP_BOTH = [StopTimer(Timer.SILENCE), StopTimer(Timer.DETECTION)]
LINGER = StartTimer(Timer.LINGER)


def play(events, enabled=ALL, **more):
    """The session after these events, and the commands that the last one gave."""
    session, commands = begin(Opening(enabled, attempts=2, **more))
    for event in events:
        session, commands = step(session, event)
    return session, list(commands)


@pytest.mark.parametrize(
    ("enabled", "commands"),
    [
        (ALL, [StartTimer(Timer.DETECTION), StartTimer(Timer.SILENCE)]),
        (WITHOUT_MYSQL, [StartTimer(Timer.DETECTION)]),
    ],
)
def test_begin(enabled, commands):
    assert play([], enabled)[1] == commands


@pytest.mark.parametrize(
    ("events", "commands", "phase"),
    [
        # detecting
        ([Judged(NeedMore(9))], [StopTimer(Timer.SILENCE)], Phase.DETECTING),
        ([Judged(NeedMore(9)), Judged(NeedMore(8))], [], Phase.DETECTING),
        ([Judged(HTTP)], [*STOP_BOTH, Choose(HTTP)], Phase.CHOOSING),
        ([Judged(Unknown())], [Close(Outcome.UNKNOWN)], Phase.CLOSED),
        ([TimedOut(Timer.SILENCE)], [*STOP_BOTH, Choose(MYSQL)], Phase.CHOOSING),
        ([Judged(NeedMore(9)), TimedOut(Timer.SILENCE)], [], Phase.DETECTING),
        ([TimedOut(Timer.DETECTION)], [Close(Outcome.TIMEOUT)], Phase.CLOSED),
        ([Judged(NeedMore(9)), TimedOut(Timer.DETECTION)], [Close(Outcome.TIMEOUT)], Phase.CLOSED),
        ([ClientFinished()], [Close(Outcome.CLIENT_GONE)], Phase.CLOSED),
        ([Judged(NeedMore(9)), ClientFinished()], [Close(Outcome.UNKNOWN)], Phase.CLOSED),
        ([ClientLost()], [Close(Outcome.CLIENT_GONE)], Phase.CLOSED),
        ([Dropped()], [Close(Outcome.DROPPED)], Phase.CLOSED),
        # choosing and connecting
        ([*TO_CHOICE, Chosen(None)], [Close(Outcome.REFUSED)], Phase.CLOSED),
        ([*TO_CHOICE, TurnedAway(Outcome.DENIED)], [Close(Outcome.DENIED)], Phase.CLOSED),
        (TO_CONNECT, [Connect(A)], Phase.CONNECTING),
        ([*TO_CONNECT, ConnectFailed()], [Choose(HTTP)], Phase.CHOOSING),
        ([*TO_CONNECT, ConnectFailed(), Chosen(None)], [Close(Outcome.REFUSED)], Phase.CLOSED),
        ([*TO_CONNECT, ConnectFailed(), Chosen(B)], [Connect(B)], Phase.CONNECTING),
        ([*TO_CONNECT, ConnectFailed(), Chosen(B), ConnectFailed()], [Close(Outcome.REFUSED)], Phase.CLOSED),
        ([*TO_CONNECT, ClientLost()], [Close(Outcome.CLIENT_GONE)], Phase.CLOSED),
        ([*TO_CONNECT, ClientFinished()], [], Phase.CONNECTING),
        ([*TO_CONNECT, TargetLost()], [], Phase.CONNECTING),
        ([*TO_CONNECT, Dropped()], [Close(Outcome.DROPPED)], Phase.CLOSED),
        # relaying
        (TO_RELAY, [Join(A), StartTimer(Timer.IDLE)], Phase.RELAYING),
        (
            [*TO_CONNECT, ConnectFailed(), Chosen(B), Connected()],
            [Join(B), StartTimer(Timer.IDLE)],
            Phase.RELAYING,
        ),
        (
            [*TO_CONNECT, ClientFinished(), Connected()],
            [Join(A), StartTimer(Timer.IDLE), FinishTarget()],
            Phase.RELAYING,
        ),
        ([*TO_RELAY, ClientFinished()], [FinishTarget()], Phase.RELAYING),
        ([*TO_RELAY, ClientFinished(), ClientFinished()], [], Phase.RELAYING),
        ([*TO_RELAY, TargetFinished()], [FinishClient()], Phase.RELAYING),
        ([*TO_RELAY, TargetFinished(), TargetFinished()], [], Phase.RELAYING),
        (
            [*TO_RELAY, ClientFinished(), TargetFinished()],
            [Close(Outcome.FINISHED, flush=True), LINGER],
            Phase.CLOSED,
        ),
        (
            [*TO_RELAY, TargetFinished(), ClientFinished()],
            [Close(Outcome.FINISHED, flush=True), LINGER],
            Phase.CLOSED,
        ),
        ([*TO_RELAY, ClientLost()], [Close(Outcome.RESET)], Phase.CLOSED),
        ([*TO_RELAY, TargetLost()], [Close(Outcome.RESET, flush=True), LINGER], Phase.CLOSED),
        ([*TO_RELAY, TimedOut(Timer.IDLE)], [Close(Outcome.IDLE)], Phase.CLOSED),
        ([*TO_RELAY, TimedOut(Timer.DETECTION)], [], Phase.RELAYING),
        ([*TO_RELAY, ConnectFailed()], [], Phase.RELAYING),
        ([*TO_RELAY, Dropped()], [Close(Outcome.DROPPED)], Phase.CLOSED),
        ([*TO_RELAY, TurnedAway(Outcome.SHED)], [Close(Outcome.SHED, flush=True), LINGER], Phase.CLOSED),
        # closed
        ([*TO_RELAY, TargetLost(), TimedOut(Timer.LINGER)], [Abort()], Phase.CLOSED),
        ([*TO_RELAY, TargetLost(), Dropped()], [Abort()], Phase.CLOSED),
        ([*TO_RELAY, TargetLost(), ClientLost()], [], Phase.CLOSED),
    ],
)
def test_dialogue(events, commands, phase):
    session, given_commands = play(events)
    assert given_commands == commands
    assert session.phase is phase


def test_without_mysql_silence_is_unknown():
    assert play([TimedOut(Timer.SILENCE)], WITHOUT_MYSQL)[1] == [Close(Outcome.UNKNOWN)]


@pytest.mark.parametrize(
    ("events", "commands"),
    [
        ([], [StartTimer(Timer.DETECTION), StartTimer(Timer.SILENCE)]),
        ([Judged(Unknown())], [*STOP_BOTH, Choose(None)]),
        ([TimedOut(Timer.SILENCE)], [*STOP_BOTH, Choose(None)]),
        ([Judged(NeedMore(9)), TimedOut(Timer.DETECTION)], [*STOP_BOTH, Choose(None)]),
        ([Judged(NeedMore(9)), ClientFinished()], [*STOP_BOTH, Choose(None)]),
        (
            [Judged(NeedMore(9)), ClientFinished(), Chosen(A), Connected()],
            [Join(A), StartTimer(Timer.IDLE), FinishTarget()],
        ),
        ([ClientFinished()], [Close(Outcome.CLIENT_GONE)]),
    ],
)
def test_somebody_takes_the_rest(events, commands):
    assert play(events, WITHOUT_MYSQL, rest=True)[1] == commands


def test_with_nothing_to_tell_apart_nobody_waits():
    assert play([], frozenset(), rest=True)[1] == [Choose(None)]


@pytest.mark.parametrize(
    ("events", "commands"),
    [
        ([], [StartTimer(Timer.DETECTION)]),
        (
            [Introduced()],
            [StopTimer(Timer.DETECTION), StartTimer(Timer.DETECTION), StartTimer(Timer.SILENCE)],
        ),
        ([TurnedAway(Outcome.MALFORMED)], [Close(Outcome.MALFORMED)]),
        ([TimedOut(Timer.DETECTION)], [Close(Outcome.TIMEOUT)]),
        ([ClientFinished()], [Close(Outcome.MALFORMED)]),
        ([ClientLost()], [Close(Outcome.CLIENT_GONE)]),
        ([Dropped()], [Close(Outcome.DROPPED)]),
    ],
)
def test_introduction(events, commands):
    assert play(events, introduced=True)[1] == commands


EVENTS = [
    Introduced(),
    Judged(NeedMore(1)),
    Judged(HTTP),
    Judged(Unknown()),
    Chosen(None),
    Chosen(A),
    TurnedAway(Outcome.DENIED),
    Connected(),
    ConnectFailed(),
    ClientFinished(),
    TargetFinished(),
    ClientLost(),
    TargetLost(),
    *(TimedOut(timer) for timer in Timer),
    Dropped(),
]


@given(st.lists(st.sampled_from(EVENTS), max_size=30), st.booleans())
def test_whatever_happens_it_closes_once_and_only_aborts_after(events, introduced):
    session, _ = begin(Opening(ALL, introduced=introduced))
    closed = False
    for event in events:
        session, commands = step(session, event)
        assert not closed or set(commands) <= {Abort()}
        closed |= any(isinstance(command, Close) for command in commands)
        assert closed == (session.phase is Phase.CLOSED)


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_whatever_happened_a_drop_closes(events):
    session, commands = play([*events, Dropped()])
    waiting_for_choice = session.phase is Phase.CHOOSING  # which is answered within the same call
    assert waiting_for_choice or isinstance(commands[0], Close | Abort)
