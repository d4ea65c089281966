"""Streams at origins: where clients go, and where they go on when an origin is lost."""

import ssl
from contextlib import asynccontextmanager

import pytest

from marchproxy.model.pool import UpstreamTls
from marchproxy.model.rtmp import Duplicate
from marchproxy.modules.rtmp.balancing import course, joint
from marchproxy.modules.rtmp.balancing.choice import order_of
from marchproxy.modules.rtmp.plan import RtmpPlan
from marchproxy.modules.rtmp.session.hall import Denied
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import answers, control, requests
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.commands import read_command
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Type
from tests.authority import Authority
from tests.unit.modules.rtmp.balancing.crafted import balancing, eventually
from tests.unit.modules.rtmp.streams.crafted import (
    AAC_CONFIG,
    AVC_CONFIG,
    BEGINNING,
    KEY,
    audio_config,
    inter,
    key,
    metadata,
    sound,
    video_config,
)

PUBLISH, PLAY = Action.PUBLISH, Action.PLAY
CONFIGS = [AVC_CONFIG, AAC_CONFIG]


def times(frames):
    return [time for time, payload in frames if payload not in CONFIGS]


async def published(rig):
    """A publisher that has sent a second."""
    publisher = rig.comes(PUBLISH)
    await publisher.is_told(Code.PUBLISH_START)
    publisher.says(*BEGINNING, key(0), sound(10), inter(500))
    return publisher, await rig.home().one(PUBLISH)


async def test_a_publisher_and_a_player():
    async with balancing("serve") as rig:
        publisher = rig.comes(PUBLISH, *BEGINNING, key(0))  # it does not wait for an answer
        at_origin = await rig.origins[0].one(PUBLISH)
        await eventually(lambda: times(at_origin.media) == [0])
        publisher.says(inter(40, b"x" * 70_000), sound(41))
        await eventually(lambda: times(at_origin.media) == [0, 40, 41])
        assert [len(payload) for _, payload in at_origin.media[:2]] == [len(one) for one in CONFIGS]
        assert at_origin.metadata == [metadata(width=64.0).payload]
        player = rig.comes(PLAY)
        playing = await rig.origins[0].one(PLAY)
        await player.is_told(Code.PLAY_START)
        playing.says(*BEGINNING, inter(80), key(120, b"y" * 70_000))
        await eventually(lambda: times(player.frames) == [80, 120])
        (report,) = rig.hall.streams()
        assert (report.state, report.players, report.video, report.origin) == (
            "live",
            1,
            "avc1.f4001e",
            rig.origins[0].address,
        )
        publisher.says(*requests.farewell("a", 1, (6, 7)))
        await eventually(lambda: at_origin.has_ended)
        assert "FCUnpublish" in [
            read_command(one).name for one in at_origin.heard if one.type in COMMAND_TYPES
        ]
        publisher.client.role.gone("client")
        player.client.role.gone("client")
        await eventually(lambda: playing.has_ended)


@pytest.mark.parametrize("does", ["refuse", "hang up", "garbage", "die"])
@pytest.mark.parametrize("action", [PUBLISH, PLAY])
async def test_the_next_origin(does, action):
    async with balancing("serve", "serve") as rig:
        ((upstream, _),) = rig.plan.backends
        addresses = order_of(upstream, KEY, {})
        first, second = sorted(rig.origins, key=lambda one: addresses.index(one.address))
        first.does = does
        if does == "die":
            await first.die()
        comer = rig.comes(action)
        await second.one(action)
        comer.client.role.gone("client")


@pytest.mark.parametrize(
    ("does", "code"), [("refuse", Code.PUBLISH_DENIED), ("hang up", Code.FAILED), ("garbage", Code.FAILED)]
)
async def test_no_origin(does, code):
    async with balancing(does, does) as rig:
        publisher = rig.comes(PUBLISH)
        await publisher.is_told(code)
        assert publisher.client.closed == "origin"
        assert rig.tallies.of("r", "p").unserved == 1
        assert rig.tallies.of("r", "p").publishers == 0
        publisher.client.role.gone("origin")


async def test_an_origin_is_lost_and_everybody_goes_on_with_a_keyframe():
    async with balancing("serve", "serve") as rig:
        publisher, _ = await published(rig)
        player = rig.comes(PLAY)
        before, after = rig.home(), rig.other()
        playing = await before.one(PLAY)
        await player.is_told(Code.PLAY_START)
        playing.says(*BEGINNING, key(0), sound(10), inter(500))
        await eventually(lambda: times(player.frames) == [0, 10, 500])
        await before.die()
        publisher.says(inter(540))
        at_origin, playing = await after.one(PUBLISH), await after.one(PLAY)
        await eventually(lambda: rig.hall.streams()[0].rehomed == 1)
        publisher.says(inter(580), sound(590), key(1000), sound(1010), inter(1040))
        await eventually(lambda: times(at_origin.media) == [1000, 1010, 1040])
        assert {payload for _, payload in at_origin.media} > set(CONFIGS)
        assert at_origin.metadata == [metadata(width=64.0).payload]
        playing.says(
            video_config(), audio_config(), key(500), inter(600)
        )  # what it has seen, or cannot be shown
        playing.says(key(1000), sound(1010))
        await eventually(lambda: times(player.frames) == [0, 10, 500, 1000, 1010])
        assert rig.hall.streams()[0].state == "live"
        assert publisher.client.closed == player.client.closed == ""


async def test_an_origin_that_leaves_the_pool_has_the_stream_until_a_keyframe():
    async with balancing("serve", "serve") as rig:
        publisher, at_origin = await published(rig)
        after = rig.other()
        rig.use(after)
        at_next = await after.one(PUBLISH)
        await eventually(lambda: rig.hall.streams()[0].rehomed == 1)
        publisher.says(inter(540))
        await eventually(lambda: times(at_origin.media) == [0, 10, 500, 540])
        publisher.says(inter(580), key(1000))
        publisher.says(inter(1040))
        await eventually(lambda: times(at_next.media) == [1000, 1040])
        await eventually(lambda: at_origin.has_ended)
        assert times(at_origin.media) == [0, 10, 500, 540, 580]


async def _says_and_is_read(session, *messages):
    """A window that small makes whoever reads it say so."""
    received = session.dialogue.received
    session.says(control.window_ack(2), *messages)
    await eventually(lambda: session.dialogue.received > received)


@asynccontextmanager
async def _moving():
    """A player, and his sessions at an origin that leaves the pool and at the next one."""
    async with balancing("serve", "serve") as rig:
        await published(rig)
        player = rig.comes(PLAY)
        before, after = rig.home(), rig.other()
        playing = await before.one(PLAY)
        await player.is_told(Code.PLAY_START)
        playing.says(*BEGINNING, key(0), inter(500))
        await eventually(lambda: times(player.frames) == [0, 500])
        rig.use(after)
        yield player, playing, await after.one(PLAY)


@pytest.mark.parametrize("does", ["says that it has no more", "unpublishes", "dies"])
async def test_the_last_frames_come_by_the_origin_before(does, monkeypatch):
    monkeypatch.setattr(joint, "_SECONDS", 60.0)
    async with _moving() as (player, playing, playing_next):
        await _says_and_is_read(playing_next, video_config(), audio_config(), key(1000))
        playing.says(inter(540))
        playing_next.says(sound(1010))
        await eventually(lambda: times(player.frames) == [0, 500, 540])
        match does:
            case "says that it has no more":
                playing.says(control.user_control(Event.STREAM_EOF, 1))
            case "unpublishes":
                playing.says(answers.status(Code.PLAY_UNPUBLISHED, "").message(1))
            case "dies":
                await playing.origin.die()
        await eventually(lambda: times(player.frames) == [0, 500, 540, 1000, 1010])
        await eventually(lambda: playing.has_ended)
        assert Type.USER_CONTROL not in {one.type for one in player.heard}
        assert (player.client.codes(), player.client.closed) == ([], "")


async def test_the_last_frames_are_not_waited_for_for_long():
    async with _moving() as (player, playing, playing_next):
        playing_next.says(video_config(), audio_config(), key(1000))
        playing_next.says(sound(1010))
        await eventually(lambda: times(player.frames) == [0, 500, 1000, 1010])
        await eventually(lambda: playing.has_ended)


async def test_who_leaves_while_the_last_frames_are_waited_for(monkeypatch):
    monkeypatch.setattr(joint, "_SECONDS", 60.0)
    async with _moving() as (player, playing, playing_next):
        await _says_and_is_read(playing_next, video_config(), audio_config(), key(1000))
        player.client.role.gone("client")
        await eventually(lambda: playing.has_ended and playing_next.has_ended)
        assert times(player.frames) == [0, 500]


async def test_an_origin_is_lost_that_took_long_to_take_the_stream():
    async with balancing("ponder", "ponder") as rig:
        publisher = rig.comes(PUBLISH)
        await eventually(lambda: any(one.of(PUBLISH) for one in rig.origins))
        rig.clock.ahead = 60.0
        before, after = sorted(rig.origins, key=lambda one: not one.of(PUBLISH))
        before.of(PUBLISH)[0].take(PUBLISH)
        await publisher.is_told(Code.PUBLISH_START)
        after.does = "serve"
        await before.die()
        await after.one(PUBLISH)
        await eventually(lambda: rig.hall.streams()[0].rehomed == 1)
        assert publisher.client.closed == ""


async def test_nobody_takes_a_stream_whose_origin_is_lost():
    async with balancing("serve") as rig:
        publisher, _ = await published(rig)
        await rig.home().die()
        await publisher.is_told(Code.FAILED)
        assert publisher.client.closed == "origin"
        assert rig.tallies.of("r", "p").unserved == 1


async def test_an_origin_that_comes_back_has_the_stream_again():
    async with balancing("serve") as rig:
        rig.use(*rig.origins, grace=5.0)
        publisher, _ = await published(rig)
        await rig.origins[0].die()
        rig.origins[0].sessions.clear()
        publisher.says(inter(600))
        await rig.origins[0].open()
        again = await rig.origins[0].one(PUBLISH)
        await eventually(lambda: rig.hall.streams()[0].rehomed == 1)
        publisher.says(key(1000))
        await eventually(lambda: times(again.media) == [1000])


async def test_who_publishes_what_is_published():
    async with balancing("serve") as rig:
        first, _ = await published(rig)
        second = rig.comes(PUBLISH)
        assert isinstance(second.admitted, Denied)
        rig.use(*rig.origins, duplicate=Duplicate.TAKEOVER)
        third = rig.comes(PUBLISH)
        assert first.client.closed == "taken_over"
        await third.is_told(Code.PUBLISH_START)
        assert rig.tallies.of("r", "p").publishers == 1
        first.client.role.gone("taken_over")
        assert rig.tallies.of("r", "p").publishers == 1
        assert rig.hall.streams()[0].publisher


async def test_players_hear_of_an_end_from_who_knows():
    async with balancing("serve") as rig:
        publisher, _ = await published(rig)
        player = rig.comes(PLAY)
        playing = await rig.origins[0].one(PLAY)
        await player.is_told(Code.PLAY_START)
        unpublished = answers.status(Code.PLAY_UNPUBLISHED, "gone").message(1)
        playing.says(key(0), unpublished, inter(40))
        await eventually(lambda: times(player.frames) == [0, 40])
        assert [one.type for one in player.heard if one.type in COMMAND_TYPES] == []
        publisher.says(*requests.farewell("a", 1, (6, 7)))
        playing.says(unpublished)
        await eventually(lambda: player.frames and [one for one in player.heard if one.type in COMMAND_TYPES])


async def test_players_are_told_when_the_publisher_does_not_come_back():
    async with balancing("serve") as rig:
        rig.use(*rig.origins, grace=0.05)
        publisher, _ = await published(rig)
        player = rig.comes(PLAY)
        playing = await rig.origins[0].one(PLAY)
        await player.is_told(Code.PLAY_START)
        playing.says(key(0, b"x" * 500))
        await eventually(lambda: times(player.frames) == [0])
        publisher.client.role.gone("reset")
        assert rig.hall.streams()[0].state == "waiting"
        await eventually(lambda: rig.hall.sweep() or player.client.closed)
        assert player.frames
        (told,) = [one for one in player.heard if one.type in COMMAND_TYPES]
        assert answers.read_status(read_command(told)).code == Code.PLAY_UNPUBLISHED


async def test_an_origin_that_sends_clients_away_is_left():
    async with balancing("serve", "serve") as rig:
        publisher, at_origin = await published(rig)
        after = rig.other()
        at_origin.says(answers.reconnect("maintenance"))
        at_next = await after.one(PUBLISH)
        await eventually(lambda: rig.hall.streams()[0].rehomed == 1)
        publisher.says(key(1000))
        await eventually(lambda: times(at_next.media) == [1000])


async def test_an_origin_that_ends_a_stream_has_lost_it():
    async with balancing("serve", "serve") as rig:
        _, at_origin = await published(rig)
        after = rig.other()
        at_origin.says(answers.status(Code.PUBLISH_BAD_NAME, "no more", level=Level.ERROR).message(1))
        await after.one(PUBLISH)


async def test_what_players_say_goes_to_the_origin():
    async with balancing("serve") as rig:
        player = rig.comes(PLAY)
        playing = await rig.origins[0].one(PLAY)
        await player.is_told(Code.PLAY_START)
        player.says(answers.Command(requests.PAUSE, 0, None, (True, 0.0)).message(1))
        await eventually(lambda: [one for one in playing.heard if one.type == Type.COMMAND])
        player.says(answers.Command(requests.DELETE_STREAM, 0, None, (1.0,)))
        assert player.client.closed == "client"
        await eventually(lambda: playing.has_ended)


async def test_leaving():
    async with balancing("serve") as rig:
        publisher, _ = await published(rig)
        rig.hall.drain()
        assert publisher.client.asked == "the server is going away"
        rig.hall.apply(RtmpPlan())
        assert publisher.client.closed == "no_route"


async def test_a_publisher_that_sends_nothing():
    async with balancing("serve") as rig:
        rig.use(*rig.origins, stall=0.0)
        publisher, _ = await published(rig)
        await eventually(lambda: rig.hall.sweep() or publisher.client.closed)
        assert publisher.client.closed == "stalled"
        assert rig.tallies.of("r", "p").stalls == 1


async def test_checks():
    async with balancing("serve", "hang up") as rig:
        first, second = await rig.hall.check()
        assert (first.fault, first.latency is not None) == ("", True)
        assert second.latency is None
        await rig.hall.check()
        assert "hung up" in rig.hall.origins()[1].fault


async def test_a_stream_keeps_its_colour_until_it_ends():
    async with balancing("serve", "serve") as rig:
        blue, green = rig.origins
        rig.use(blue, name="blue")
        publisher, _ = await published(rig)
        rig.use(green, name="green", before=(blue, "blue"))  # all new streams are green
        await eventually(lambda: rig.hall.sweep() or rig.hall.streams()[0].pool == "blue")
        player = rig.comes(PLAY)
        playing = await blue.one(PLAY)
        player.client.role.gone("client")
        publisher.says(*requests.farewell("a", 1, (6, 7)))
        publisher.client.role.gone("client")
        await eventually(lambda: playing.has_ended and (rig.hall.sweep() or not rig.hall.streams()))
        again = rig.comes(PUBLISH)
        await again.is_told(Code.PUBLISH_START)
        await green.one(PUBLISH)
        assert rig.hall.streams()[0].pool == "green"


async def test_origins_within_tls(tmp_path):
    issued = Authority(tmp_path).issue("origin", ["localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    async with balancing("serve") as rig:
        (origin,) = rig.origins
        await origin.close()
        await origin.open(context)
        rig.tls = UpstreamTls(insecure=True)
        rig.use(origin)
        publisher, at_origin = await published(rig)
        await eventually(lambda: times(at_origin.media) == [0, 10, 500])
        rig.hall.close()
        assert publisher.client.closed == "close"


async def test_a_publisher_that_blinks_finds_its_origin_busy_for_a_moment():
    async with balancing("serve", "serve") as rig:
        publisher, _ = await published(rig)
        home = rig.home()
        publisher.client.role.gone("reset")
        home.does = "busy"
        again = rig.comes(PUBLISH)
        await again.is_told(Code.PUBLISH_START)
        assert rig.home() is home
        assert home.does == "serve"


async def test_an_origin_is_lost_while_its_stream_is_on_the_way_to_another_one():
    async with balancing("serve", "serve") as rig:
        publisher, _ = await published(rig)
        player = rig.comes(PLAY)
        before, after = rig.home(), rig.other()
        await before.one(PLAY)
        await player.is_told(Code.PLAY_START)
        after.does = "no players"  # the publisher waits for these
        rig.use(after)
        at_next = await after.one(PUBLISH)
        await before.die()
        publisher.says(inter(600))
        await eventually(lambda: rig.hall.streams()[0].rehomed == 1)
        publisher.says(inter(640), key(1000))
        await eventually(lambda: times(at_next.media) == [1000])
        assert len(after.of(PUBLISH)) == 1


@pytest.mark.parametrize("action", [PUBLISH, PLAY])
async def test_an_origin_that_takes_clients_and_lets_them_go_is_not_asked_for_ever(action, monkeypatch):
    monkeypatch.setattr(course, "_BEHIND", 0.2)
    async with balancing("kick") as rig:
        rig.use(*rig.origins, grace=0.0)
        comer = rig.comes(action)
        await eventually(lambda: comer.client.closed)
        assert comer.client.closed == "origin"
        assert len(rig.origins[0].sessions) < 40


async def test_one_stream_for_each_connection():
    async with balancing("serve") as rig:
        publisher, _ = await published(rig)
        with pytest.raises(ProtocolFault, match="one stream"):
            publisher.says(requests.Publish("b").command().message(1))
