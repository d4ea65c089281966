"""What clients are answered until it is known what they want, and what is left for whoever serves them."""

import pytest

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.session.dialogue import CHUNK_SIZE, MOST_BEFORE, MOST_RECORDED, BadKey, Dialogue
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import control, requests
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.connect import Caps, read_abilities
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Message, Type
from tests.unit.modules.rtmp.session.crafted import (
    PLAYER,
    PUBLISHER,
    Speaker,
    captured,
    commands,
    connect,
    create,
    key,
    play,
    publish,
    sound,
)
from tests.unit.wire.rtmp.crafted import read_strictly

ENCODERS = ["_result", "_result", "_result", "_result"]  # connect, releaseStream, FCPublish, createStream
CLIENTS = {
    "ffmpeg-5-h264-aac-24-bits": (Action.PUBLISH, ENCODERS),
    "ffmpeg-9-hevc-opus": (Action.PUBLISH, ENCODERS),
    "ffmpeg-9-many-tracks": (Action.PUBLISH, ENCODERS),
    "librtmp-h264-aac-24-bits": (Action.PUBLISH, ENCODERS),
    "ffmpeg-5-play": (
        Action.PLAY,
        ["_result", "_result", "_result"],
    ),  # connect, createStream, getStreamLength
    "ffmpeg-9-play": (Action.PLAY, ["_result", "_result", "_result"]),
    "librtmp-play": (Action.PLAY, ["_result", "_result"]),  # its FCSubscribe wants no answer
}


def fed(data: bytes, size: int) -> tuple[Dialogue, list[Message], bytes]:
    """A dialogue in which all that is wished is granted at once; messages for the role; all that was answered."""
    dialogue, passed, answered = Dialogue(), [], b""
    for at in range(0, len(data), size):
        passed += dialogue.feed(data[at : at + size])
        answered += dialogue.take_out()
        if dialogue.wish is not None and not dialogue.granted:
            passed += dialogue.grant()
            answered += dialogue.take_out()
    return dialogue, passed, answered


@pytest.mark.parametrize("name", CLIENTS)
def test_real_clients_get_their_answers(name):
    action, expected = CLIENTS[name]
    data = captured(name)
    dialogue, _, answered = fed(data, len(data))
    assert dialogue.wish is not None
    assert (dialogue.wish.action, dialogue.wish.stream_id) == (action, 1)
    assert dialogue.wish.key == StreamKey("127.0.0.1", "live", "key")
    said, _ = read_strictly(answered)
    assert [message.type for message in said[:3]] == [5, 6, 1]
    assert [command.name for command in commands(said)][: len(expected)] == expected
    wanted = [one.transaction for one in commands(read_strictly(data)[0])]
    assert [one.transaction for one in commands(said)] == [one for one in wanted if one][
        : len(commands(said))
    ]


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("size", [1, 7, 100, 1448])
def test_answers_do_not_depend_on_how_bytes_come(name, size):
    """For the worker that takes a client over is fed in one piece what another one has read in many."""
    data = captured(name)
    assert fed(data, size)[1:] == fed(data, len(data))[1:]


@pytest.mark.parametrize("name", [name for name, (action, _) in CLIENTS.items() if action is Action.PUBLISH])
def test_all_media_are_the_roles(name):
    data = captured(name)
    sent = [message for message in read_strictly(data)[0] if message.type in {8, 9, 18}]
    _, passed, _ = fed(data, 1448)
    assert [message for message in passed if message.type not in COMMAND_TYPES] == sent
    assert [one.name for one in commands(passed)] == ["FCUnpublish", "deleteStream"]


def test_connect_is_told_what_we_can():
    speaker, dialogue = Speaker(), Dialogue()
    dialogue.feed(speaker.says(connect(objectEncoding=3.0)))
    (granted,) = commands(speaker.hears(dialogue.take_out()))
    info = granted.fields()
    assert info["code"] == "NetConnection.Connect.Success"
    assert info["objectEncoding"] == 3
    assert Caps.RECONNECT in read_abilities(info).caps
    assert set(read_abilities(info).video) == {"*"}
    assert dialogue.connected
    assert dialogue.chunk_size == CHUNK_SIZE


def test_nothing_is_answered_between_wish_and_grant():
    speaker, dialogue = Speaker(), Dialogue()
    ping = control.user_control(Event.PING, 77)
    dialogue.feed(speaker.says(*PUBLISHER, ping, key(), create()))
    speaker.hears(dialogue.take_out())
    assert dialogue.feed(speaker.says(sound(3), ping)) == ()
    assert dialogue.take_out() == b""
    assert [message.type for message in dialogue.grant()] == [9, 8]
    heard = speaker.hears(dialogue.take_out())
    assert heard[0] == heard[2] == control.user_control(Event.PONG, 77)
    assert [one.arguments for one in commands(heard)] == [(2.0,)]  # a second stream
    assert [message.type for message in dialogue.feed(speaker.says(key(9), ping, sound(9)))] == [9, 8]


def test_all_is_recorded_until_the_grant():
    speaker, dialogue = Speaker(), Dialogue()
    first, second = speaker.says(*PLAYER), speaker.says(sound())
    dialogue.feed(first)
    dialogue.feed(second[:3])
    assert dialogue.recorded == first + second[:3]
    assert not dialogue.between
    dialogue.grant()
    dialogue.feed(second[3:])
    assert dialogue.recorded == first + second[:3]
    assert dialogue.between


def test_what_the_wish_says():
    speaker, dialogue = Speaker(), Dialogue()
    dialogue.feed(speaker.says(connect("live/eu?token=1"), publish("a?key=secret")))
    wish = dialogue.wish
    assert wish is not None
    assert wish.key == StreamKey("media.example.com", "live/eu", "a")
    assert (wish.name, wish.query, wish.transaction) == ("a?key=secret", "key=secret&token=1", 5)


@pytest.mark.parametrize(
    ("window", "size", "expected"),
    [(None, 2_600_000, 1), (None, 2_000_000, 0), (1_000_000, 2_600_000, 5), (0, 300, 1)],
)
def test_what_came_is_acknowledged(window, size, expected):
    """Twice for each window, ours or the one that the client names; those of the handshake count."""
    speaker, dialogue = Speaker(), Dialogue()
    dialogue.feed(speaker.says(*PUBLISHER))
    dialogue.grant()
    if window is not None:
        dialogue.feed(speaker.says(control.window_ack(window)))
    speaker.hears(dialogue.take_out())
    data = speaker.says(
        control.set_chunk_size(65_536), *(key(0, bytes(60_000)) for _ in range(size // 60_000))
    )
    acks = []
    for at in range(0, len(data), 100_000):
        dialogue.feed(data[at : at + 100_000])
        acks += [one for one in speaker.hears(dialogue.take_out()) if one.type == Type.ACK]
    assert len(acks) == expected
    if acks:
        assert 0 <= dialogue.received - control.read_number(acks[-1]) <= size


def many(count):
    return [create(number + 2) for number in range(count)]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([publish()], "before connect"),
        ([create()], "before connect"),
        ([connect(), connect()], "a second time"),
        ([Command("connect", 1, {"tcUrl": "rtmp://h/a"})], "without an app"),
        ([Command("connect", 1, None)], "without properties"),
        ([connect(), *many(17)], "more than 16 streams"),
        ([connect(), Message(Type.COMMAND, 0, 0, b"\x03" * 20)], "AMF0"),
        ([connect(), Message(Type.COMMAND, 0, 0, b"\x02\0")], "AMF0"),
        ([connect(), Message(Type.USER_CONTROL, 0, 0, b"\0")], "cut off"),
        ([connect(), Message(Type.WINDOW_ACK, 0, 0, b"\0")], "cut off"),
        ([connect(), *[key(0, bytes(60_000))] * 5], "neither publish nor play"),
        ([*PUBLISHER, *[key(0, bytes(60_000))] * 20], "before it may begin"),
    ],
)
def test_what_no_client_says(said, words):
    dialogue = Dialogue()
    with pytest.raises(ProtocolFault, match=words):
        dialogue.feed(Speaker().says(*said))


def test_bounds_are_in_order():
    assert MOST_BEFORE < MOST_RECORDED


@pytest.mark.parametrize(
    "wish", [publish(""), play("?token=1"), publish("a/../b"), play("x" * 300), publish("a\0")]
)
def test_streams_that_cannot_be(wish):
    dialogue = Dialogue()
    with pytest.raises(BadKey):
        dialogue.feed(Speaker().says(connect(), create(), wish))
    assert dialogue.wish is not None


def test_what_is_said_after_others_wrote_is_said_in_full():
    speaker, dialogue = Speaker(), Dialogue()
    dialogue.say(control.window_ack(1), control.window_ack(2))
    short = dialogue.take_out()
    dialogue.forget_sent()
    dialogue.say(control.window_ack(3))
    full = dialogue.take_out()
    assert full[0] >> 6 == 0
    assert [control.read_number(one) for one in speaker.hears(short + full)] == [1, 2, 3]


def test_a_player_may_ask_for_little_things():
    speaker, dialogue = Speaker(), Dialogue()
    dialogue.feed(speaker.says(*PLAYER, control.set_buffer(1, 3000)))
    dialogue.grant()
    passed = dialogue.feed(
        speaker.says(Command(requests.CHECK_BANDWIDTH, 9), Command("pause", 0, None, (True, 0)), play("b"))
    )
    assert [one.name for one in commands(list(passed))] == ["pause", "play"]
    assert commands(speaker.hears(dialogue.take_out()))[-1].transaction == 9
