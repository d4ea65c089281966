import asyncio
from collections.abc import Sequence

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.rtmp import StreamLimits
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.modules.rtmp.session.dialogue import CHUNK_SIZE
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.modules.rtmp.session.turns import SECONDS
from marchproxy.modules.rtmp.streams.audience import MANY
from marchproxy.modules.rtmp.streams.live import EXPECT_SECONDS, LiveStream, State
from marchproxy.modules.rtmp.streams.player import SLOW_SECONDS, Player
from marchproxy.modules.rtmp.streams.publisher import Publisher
from marchproxy.modules.rtmp.tally import Tally
from marchproxy.wire.rtmp import requests
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.message import VIDEO, Message
from tests.unit.modules.rtmp.streams.crafted import (
    AAC_CONFIG,
    AVC_CONFIG,
    BEGINNING,
    KEY,
    FakeClient,
    audio_config,
    inter,
    key,
    media,
    plan,
    sound,
    video_config,
)

_BEGUN = ["NetStream.Play.Reset", "NetStream.Play.Start"]
_ENDED = ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"]
_FIRST = [*BEGINNING, key(0), sound(0), inter(40)]


class _Scene:
    """One stream, with a clock of its own, and those who are told of its beginning and end."""

    def __init__(self, route: RoutePlan | None = None) -> None:
        self.clock, self.tally = VirtualClock(), Tally()
        self.told: list[str] = []
        self.stream = LiveStream(KEY, route or plan(), self.tally, registry=self, clock=self.clock)

    def began(self, stream: LiveStream) -> None:
        assert stream.is_live
        self.told.append("began")

    def ended(self, stream: LiveStream) -> None:
        assert stream.state is State.ENDED
        self.told.append("ended")

    def publish(self, *messages: Message) -> FakeClient:
        client = FakeClient(Action.PUBLISH).serve(Publisher(self.stream))
        assert client.codes() == ["NetStream.Publish.Start"]
        if messages:
            self.say(client, *messages)
        return client

    def say(self, client: FakeClient, *messages: Message) -> None:
        assert client.role is not None
        client.role.messages(messages)

    def play(self, stream_id: int = 1) -> FakeClient:
        return FakeClient(stream_id=stream_id).serve(Player(self.stream))

    def pass_(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.stream.sweep()


def _leave(client: FakeClient, command: str) -> None:
    assert client.role is not None
    client.role.messages([Command(command, 0, None, (1,)).message()])


def test_who_comes_first_gets_everything() -> None:
    scene = _Scene()
    player = scene.play()
    assert player.said == []
    publisher = scene.publish(*_FIRST)
    assert player.codes()[-2:] == _BEGUN
    assert media(player.take()) == media(_FIRST)
    scene.say(publisher, inter(80))
    assert media(player.take()) == media([inter(80)])
    assert scene.told == ["began"]
    assert (scene.tally.publishers, scene.tally.players) == (1, 1)


def test_who_comes_later_begins_with_the_gop() -> None:
    scene = _Scene()
    publisher = scene.publish(*_FIRST)
    scene.say(publisher, key(80), sound(80))
    scene.say(publisher, inter(120))
    player = scene.play()
    configs = [(80, payload) for _, payload in media(BEGINNING)]
    assert media(player.take()) == [*configs, *media([key(80), sound(80), inter(120)])]
    scene.say(publisher, inter(160))
    assert media(player.take()) == media([inter(160)])


def test_what_stands_behind_the_beginning_is_told_once() -> None:
    scene = _Scene()
    pushed = [audio_config(), sound(0), video_config(), key(23)]  # as nginx does
    early, tap = scene.play(), _Tap()
    publisher = scene.publish(*pushed)
    late = scene.play()
    scene.stream.tap(tap)
    scene.say(publisher, inter(63))
    for found in (media(early.take()), media(late.take()), tap.seen):
        assert found == media([*pushed, inter(63)])


@pytest.mark.parametrize("gop_cache", [0, 10_000])
def test_frames_are_of_the_configuration_before_them(gop_cache: int) -> None:
    scene, tap = _Scene(plan(gop_cache=gop_cache)), _Tap()
    publisher = scene.publish(*_FIRST)
    waiting = scene.play()
    waiting.take()
    other = Message(VIDEO, 1, 120, AVC_CONFIG + b"other")
    read = [key(80), inter(120), other]
    scene.say(publisher, *read)
    late = scene.play()
    scene.stream.tap(tap)
    scene.say(publisher, key(160))
    before = [(80, payload) for _, payload in media(BEGINNING)]
    now = [(160, other.payload), (160, AAC_CONFIG)]
    if gop_cache:
        assert media(waiting.take()) == media([*read, key(160)])
        assert media(late.take()) == tap.seen == [*before, *media([*read, key(160)])]
    else:
        assert media(waiting.take()) == [*before, *media([*read, key(160)])]
        assert media(late.take()) == [*now, *media([key(160)])]
        assert tap.seen == [(120, payload) for _, payload in now] + media([key(160)])


def test_without_a_cache_a_newcomer_waits_for_a_keyframe() -> None:
    scene = _Scene(plan(gop_cache=0))
    publisher = scene.publish(*_FIRST)
    player = scene.play()
    scene.say(publisher, sound(70), inter(80))
    assert player.take() == []
    scene.say(publisher, sound(93), key(120), sound(120))
    configs = [(120, payload) for _, payload in media(BEGINNING)]
    assert media(player.take()) == [*configs, *media([key(120), sound(120)])]
    assert scene.tally.dropped_messages == 0


def test_a_stream_may_be_called_otherwise() -> None:
    scene = _Scene()
    player = scene.play(stream_id=3)
    scene.publish(*_FIRST)
    found = player.take()
    assert {one.stream_id for one in found} == {3}
    assert media(found) == media(_FIRST)


@pytest.mark.parametrize("command", [requests.FC_UNPUBLISH, requests.DELETE_STREAM, requests.CLOSE_STREAM])
def test_a_publisher_that_says_so_ends_the_stream(command: str) -> None:
    scene = _Scene()
    player, publisher = scene.play(), scene.publish(*_FIRST)
    player.codes()
    _leave(publisher, command)
    assert publisher.codes() == ["NetStream.Unpublish.Success"]
    assert (player.codes(), player.closed) == (_ENDED, "ended")
    assert scene.told == ["began", "ended"]
    assert (scene.tally.publishers, scene.tally.players) == (0, 0)
    assert player.role is not None
    player.role.gone("ended")
    assert scene.tally.players == 0


def test_a_publisher_that_blinks_is_waited_for() -> None:
    scene = _Scene(plan(grace=5.0))
    player, publisher = scene.play(), scene.publish(*_FIRST)
    player.take()
    assert publisher.role is not None
    publisher.role.gone("client")
    assert scene.stream.state is State.WAITING
    scene.pass_(4.0)
    later = scene.play()
    assert later.codes() == _BEGUN
    assert not player.closed
    again = scene.publish(*BEGINNING)
    scene.say(again, inter(5000), key(5040), sound(5050), inter(5080))
    configs = [(4040, payload) for _, payload in media(BEGINNING)]
    for one in (player, later):
        at = 4040 + 40  # the frame that nobody could show had its time
        found = media(one.take())
        assert [payload for _, payload in found] == [
            *(payload for _, payload in configs),
            *(one.payload for one in (key(0), sound(0), inter(0))),
        ]
        assert [time for time, _ in found][-3:] == [at, at + 10, at + 40]
    assert scene.told == ["began"]
    assert scene.tally.publishes == 2


def test_a_publisher_that_does_not_return_has_ended_the_stream() -> None:
    scene = _Scene(plan(grace=5.0))
    player, publisher = scene.play(), scene.publish(*_FIRST)
    assert publisher.role is not None
    publisher.role.gone("reset")
    scene.pass_(5.1)
    assert player.closed == "ended"
    assert scene.told == ["began", "ended"]


def test_without_grace_nobody_is_waited_for() -> None:
    scene = _Scene(plan(grace=0.0))
    player, publisher = scene.play(), scene.publish(*_FIRST)
    assert publisher.role is not None
    publisher.role.gone("reset")
    assert player.closed == "ended"


def test_players_do_not_wait_for_ever() -> None:
    scene = _Scene()
    player = scene.play()
    scene.pass_(EXPECT_SECONDS - 1)
    assert not player.closed
    scene.pass_(1.1)
    assert (player.codes(), player.closed) == (["NetStream.Play.StreamNotFound"], "no_stream")
    assert scene.told == ["ended"]


def test_a_publisher_that_sends_nothing_is_closed_and_may_return() -> None:
    scene = _Scene(plan(stall=15.0, grace=5.0))
    player, publisher = scene.play(), scene.publish(*_FIRST)
    scene.pass_(14.0)
    scene.say(publisher, sound(14_000))
    scene.pass_(14.0)
    assert not publisher.closed
    scene.pass_(1.1)
    assert (publisher.codes(), publisher.closed) == (["NetStream.Publish.Idle"], "stalled")
    assert (scene.tally.stalls, scene.tally.publishers) == (1, 0)
    assert publisher.role is not None
    publisher.role.gone("stalled")
    assert scene.stream.state is State.WAITING
    assert not player.closed


def test_a_publisher_that_sends_too_much_for_too_long_is_closed() -> None:
    scene = _Scene(plan(grace=5.0, limits=StreamLimits(bitrate=800)))
    player, publisher = scene.play(), scene.publish(*_FIRST)
    for second in range(1, 60):
        scene.say(publisher, inter(1000 * second, bytes(99_000 if second < 20 else 110_000)))
        scene.pass_(1.0)
        if publisher.closed:
            break
    assert 30 <= second <= 36  # five for the mean, ten in which it might have ended
    assert (publisher.codes(), publisher.closed) == (["NetStream.Publish.Denied"], "bitrate")
    assert (player.closed, scene.stream.state, scene.tally.publishers) == ("ended", State.ENDED, 0)


def test_a_publisher_without_keyframes_is_not_silent() -> None:
    scene = _Scene(plan(stall=15.0))
    publisher = scene.publish(*BEGINNING)
    for second in range(0, 31, 10):
        scene.say(publisher, inter(second * 1000))
        scene.pass_(10.0)
    assert not publisher.closed
    scene.say(publisher, inter(40_000))
    assert scene.tally.keyless == 1
    player = scene.play()
    scene.say(publisher, inter(40_040))
    assert media(player.take())[-1:] == media([inter(40_040)])


def test_who_takes_over_goes_on() -> None:
    scene = _Scene()
    player, first = scene.play(), scene.publish(*_FIRST)
    player.take()
    second = scene.publish()
    assert (first.codes(), first.closed) == (["NetStream.Publish.BadName"], "taken_over")
    assert first.role is not None
    first.role.messages([inter(80)])  # read before it was closed
    first.role.gone("taken_over")
    assert scene.stream.is_live
    scene.say(second, *BEGINNING, key(0), inter(40))
    times = [time for time, _ in media(player.take())]
    assert times == sorted(times)
    assert min(times) >= 40
    assert (scene.tally.publishers, scene.tally.publishes) == (1, 2)


def test_a_second_stream_needs_a_second_connection() -> None:
    scene = _Scene()
    publisher = scene.publish(*_FIRST)
    scene.say(publisher, requests.Publish("b").command().message(1))
    assert publisher.codes() == ["NetStream.Publish.BadName"]
    assert not publisher.closed


# who reads slowly


def _slow(scene: _Scene, player: FakeClient) -> None:
    """It has not read all that the stream lets wait."""
    assert player.role is not None
    player.waiting = scene.stream.options.queue
    player.role.full()


def test_who_reads_a_little_late_gets_everything() -> None:
    scene = _Scene()
    player, publisher = scene.play(), scene.publish(*_FIRST)
    player.take()
    assert player.role is not None
    player.role.full()
    player.waiting = 300_000
    scene.say(publisher, inter(80))
    player.role.drained()
    scene.say(publisher, inter(120))
    assert media(player.take()) == media([inter(80), inter(120)])


def test_who_reads_slowly_loses_whole_gops() -> None:
    scene = _Scene()
    prompt, slow, publisher = scene.play(), scene.play(), scene.publish(*_FIRST)
    prompt.take(), slow.take()
    assert slow.role is not None
    slow.role.drained()
    _slow(scene, slow)
    for messages in ([inter(80), sound(80)], [sound(103), key(120), inter(160)]):
        scene.say(publisher, *messages)
    assert slow.take() == []
    assert scene.tally.dropped_messages == scene.stream.drops == 5
    slow.waiting = 1000
    scene.say(publisher, inter(200))  # there is room, but no keyframe
    scene.say(publisher, sound(230), key(240), sound(245))
    scene.say(publisher, inter(280))
    assert media(slow.take()) == media([key(240), sound(245), inter(280)])
    assert scene.stream.drops == 7
    assert len(prompt.take()) == 10
    slow.role.drained()
    scene.say(publisher, inter(320))
    assert media(slow.take()) == media([inter(320)])


def test_what_changed_meanwhile_is_told() -> None:
    scene = _Scene()
    slow, publisher = scene.play(), scene.publish(*_FIRST)
    slow.take()
    assert slow.role is not None
    slow.role.drained()
    _slow(scene, slow)
    scene.say(publisher, inter(80), video_config(100))
    slow.waiting = 0
    scene.say(publisher, key(120))
    configs = [(120, payload) for _, payload in media(BEGINNING)]
    assert media(slow.take()) == [*configs, *media([key(120)])]


def test_who_gets_nothing_for_a_minute_is_closed() -> None:
    scene = _Scene(plan(stall=1000.0))
    slow, publisher = scene.play(), scene.publish(*_FIRST)
    slow.codes()
    assert slow.role is not None
    slow.role.drained()
    _slow(scene, slow)
    scene.say(publisher, key(80))
    scene.pass_(SLOW_SECONDS)
    assert not slow.closed
    scene.pass_(1.0)
    assert (slow.codes(), slow.closed) == (["NetStream.Play.Failed"], "slow")
    assert scene.tally.players == 0


def test_a_large_gop_is_not_read_slowly_by_who_has_just_come() -> None:
    scene = _Scene(plan(queue=64 * 1024))
    large = key(0, bytes(3 * CHUNK_SIZE))
    publisher = scene.publish(*BEGINNING, large)
    player = scene.play()
    assert player.role is not None
    player.role.full()
    player.waiting = len(large.payload)
    scene.say(publisher, inter(40))
    assert media(player.take())[-2:] == media([large, inter(40)])
    player.role.drained()
    player.role.full()
    player.waiting = 64 * 1024
    scene.say(publisher, inter(80))
    assert player.take() == []


def test_a_player_that_leaves_costs_nothing_more() -> None:
    scene = _Scene()
    players, publisher = [scene.play() for _ in range(3)], scene.publish(*_FIRST)
    for player in players:
        player.take()
    _leave(players[0], requests.CLOSE_STREAM)
    assert players[0].closed == "client"
    assert players[1].role is not None
    players[1].role.gone("reset")
    scene.say(publisher, inter(80))
    assert [len(player.take()) for player in players] == [0, 0, 1]
    assert scene.tally.players == 1


def test_a_player_that_becomes_full_gets_each_message_once() -> None:
    scene = _Scene()
    players, publisher = [scene.play() for _ in range(4)], scene.publish(*_FIRST)
    for player in players:
        player.take()
    full = players[1]

    def write(data: bytes) -> None:
        full.written.append(data)
        assert full.role is not None
        full.role.full()

    full.write = write  # type: ignore[method-assign]
    scene.stream.audience.leave(full.role)  # type: ignore[arg-type]
    scene.stream.audience.prompt(full.role, write)  # type: ignore[arg-type]
    scene.say(publisher, inter(80))
    scene.say(publisher, inter(120))
    assert [media(player.take()) for player in players] == [media([inter(80), inter(120)])] * 4


# taps


class _Tap:
    def __init__(self) -> None:
        self.seen: list[tuple[int, bytes] | str] = []

    def messages(self, messages: Sequence[Message]) -> None:
        self.seen += media(messages)

    def paused(self) -> None:
        self.seen.append("paused")

    def ended(self) -> None:
        self.seen.append("ended")


def test_a_tap_gets_what_players_get() -> None:
    scene = _Scene()
    publisher = scene.publish(*_FIRST)
    tap, other = _Tap(), _Tap()
    scene.stream.tap(tap)
    scene.stream.tap(other)
    scene.say(publisher, inter(80))
    scene.stream.untap(other)
    scene.stream.untap(other)
    assert publisher.role is not None
    publisher.role.gone("reset")
    scene.publish(*BEGINNING, key(0))
    scene.stream.end("over")
    before = media([*_FIRST, inter(80)])
    again = [
        (81, payload) if payload == key(0).payload else (80, payload)
        for _, payload in media([*BEGINNING, key(0)])
    ]
    assert tap.seen == [*before, "paused", *again, "ended"]
    assert other.seen == before


# many players


async def test_many_players_are_written_to_a_little_later() -> None:
    scene = _Scene()
    players, publisher = [scene.play() for _ in range(MANY)], scene.publish(*_FIRST)
    for player in players:
        player.take()
    scene.say(publisher, inter(80))
    scene.say(publisher, sound(93))
    assert not any(player.written for player in players)
    late = scene.play()  # who comes or falls behind meanwhile gets nothing twice, and misses nothing
    assert media(late.take())[-2:] == media([inter(80), sound(93)])
    scene.say(publisher, inter(120))
    assert players[0].role is not None
    players[0].role.full()
    scene.say(publisher, inter(160))
    players[0].role.drained()
    scene.say(publisher, inter(200))
    async with asyncio.timeout(20):
        while len(players[-1].written) < 4:
            await asyncio.sleep(0.001)
    expected = media([inter(80), sound(93), inter(120), inter(160), inter(200)])
    assert [media(player.take()) for player in players] == [expected] * MANY
    assert media(late.take()) == expected[2:]


def test_a_large_frame_does_not_wait() -> None:
    scene = _Scene()
    players, publisher = [scene.play() for _ in range(MANY)], scene.publish(*_FIRST)
    for player in players:
        player.take()
    scene.say(publisher, key(80, bytes(200_000)))
    assert [len(player.take()) for player in players] == [1] * MANY


async def test_what_waits_is_written_before_the_end() -> None:
    scene = _Scene()
    players, publisher = [scene.play() for _ in range(MANY)], scene.publish(*_FIRST)
    for player in players:
        player.take()
    scene.say(publisher, inter(80))
    _leave(publisher, requests.FC_UNPUBLISH)
    assert [media(player.take()) for player in players] == [media([inter(80)])] * MANY
    assert {player.closed for player in players} == {"ended"}


def test_what_has_waited_for_its_turn_does_not_wait_again() -> None:
    scene = _Scene()
    players, publisher = [scene.play() for _ in range(MANY)], scene.publish(*_FIRST)
    for player in players:
        player.take()
    publisher.in_turns = True
    scene.say(publisher, inter(80))
    assert scene.stream.latency >= SECONDS / 2
    assert [media(player.take()) for player in players] == [media([inter(80)])] * MANY


def test_a_stream_is_awaited_by_whoever_gets_it() -> None:
    scene = _Scene()
    publisher = scene.publish(*_FIRST)
    assert publisher.role is not None
    seen = [publisher.role.is_awaited]
    player = scene.play()
    seen.append(publisher.role.is_awaited)
    assert player.role is not None
    player.role.gone("client")
    seen.append(publisher.role.is_awaited)
    scene.stream.tap(_Tap())
    seen.append(publisher.role.is_awaited)
    assert seen == [False, True, False, True]
