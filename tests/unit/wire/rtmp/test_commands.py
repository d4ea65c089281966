from dataclasses import replace

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import amf0, answers, control, requests
from marchproxy.wire.rtmp.amf0 import EcmaArray, encode
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.commands import Command, bare_metadata, metadata, read_command, read_metadata
from marchproxy.wire.rtmp.connect import (
    FORWARDING,
    Abilities,
    Caps,
    Codecs,
    host_of,
    read_abilities,
    read_connect,
    split_query,
)
from marchproxy.wire.rtmp.message import Message, Type


def command(*values, kind=Type.COMMAND, before=b""):
    return Message(kind, 0, 0, before + encode(*values))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (command("publish", 5, None, "key", "live"), Command("publish", 5, None, ("key", "live"))),
        (command("play", 4, None, "key?t=1", -2000), Command("play", 4, None, ("key?t=1", -2000))),
        (command("onBWDone"), Command("onBWDone")),
        (command("x", 1, None, kind=Type.COMMAND_AMF3, before=b"\0"), Command("x", 1)),
        (command("x", 1, None, kind=Type.COMMAND_AMF3), Command("x", 1)),
    ],
)
def test_commands_are_read(message, found):
    assert read_command(message) == found
    assert read_command(found.message(3)) == found


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (command(), "without a name"),
        (command(5, 5), "without a name"),
        (command("publish", "five"), "no number"),
        (command("x" * 70_000), "65536 are allowed"),
        (command("x", before=b"\0"), "cut off"),
    ],
)
def test_what_is_no_command_is_a_fault(message, why):
    with pytest.raises(ProtocolFault, match=why):
        read_command(message)


def test_arguments_of_other_types_are_none():
    found = Command("x", 1, None, (5.0, "text", {"a": 1.0}))
    assert (found.text(0), found.text(1), found.text(9)) == ("", "text", "")
    assert (found.number(0), found.number(1, -1), found.number(9, -2)) == (5, -1, -2)
    assert (found.fields(2), found.fields(0), found.fields(9)) == ({"a": 1.0}, {}, {})


CONNECT = Command(
    "connect",
    1,
    {
        "app": "live",
        "tcUrl": "rtmp://Video.Example.:1935/live?token=1",
        "flashVer": "FMLE/3.0",
        "objectEncoding": 3.0,
        "fourCcList": ["hvc1", "av01", 5.0],
        "videoFourCcInfoMap": {"*": 4.0, "hvc1": 1.0, "bad": "x"},
        "capsEx": 3.0,
    },
    ("user",),
)


def test_connect_is_read():
    found = read_connect(CONNECT)
    assert (found.app, found.vhost, found.text("flashVer"), found.amf3) == (
        "live",
        "video.example",
        "FMLE/3.0",
        True,
    )
    assert found.abilities == Abilities(
        Caps.RECONNECT | Caps.MULTITRACK,
        ("hvc1", "av01"),
        {"*": Codecs.FORWARD, "hvc1": Codecs.DECODE, "bad": Codecs.NONE},
    )
    assert found.text("capsEx") == ""


def test_connect_is_said_again_with_what_we_are_able_to():
    said = replace(read_connect(CONNECT), app="other", abilities=FORWARDING, transaction=1).command()
    properties = said.object
    assert isinstance(properties, dict)
    assert properties["app"] == "other"
    assert properties["flashVer"] == "FMLE/3.0"
    assert "fourCcList" not in properties
    assert read_abilities(properties) == FORWARDING
    assert said.arguments == ("user",)
    assert read_connect(read_command(said.message())).abilities == FORWARDING


@pytest.mark.parametrize("properties", [None, {}, {"app": 5.0}, "live"])
def test_connect_needs_an_app(properties):
    with pytest.raises(ProtocolFault, match="connect without"):
        read_connect(Command("connect", 1, properties))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"capsEx": -1.0},
        {"capsEx": float("nan")},
        {"capsEx": float("inf")},
        {"fourCcList": {}},
        {"videoFourCcInfoMap": []},
    ],
)
def test_abilities_that_are_none(fields):
    assert read_abilities(fields) == Abilities()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("rtmp://A.b:1935/live", "a.b"),
        ("rtmps://a/live", "a"),
        ("rtmp://[::1]:1935/live", "::1"),
        ("rtmp://user:word@a/live", "a"),
        ("rtmp://[::1/live", ""),
        ("live", ""),
        ("", ""),
    ],
)
def test_hosts(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("text", "found"),
    [("key", ("key", "")), ("key?a=1?b", ("key", "a=1?b")), ("/live/", ("live", "")), ("?a", ("", "a"))],
)
def test_queries(text, found):
    assert split_query(text) == found


def test_publish_and_play():
    assert requests.read_publish(Command("publish", 5, None, ("key",))) == requests.Publish("key", "live", 5)
    assert requests.read_play(Command("play", 5, None, ("key", -1.0))) == requests.Play("key", -1, 5)
    assert requests.read_play(Command("play", 5)) == requests.Play("", -2, 5)
    for asked, back in (
        (requests.Publish("k", "live", 5), requests.read_publish),
        (requests.Play("k", -1, 5), requests.read_play),
    ):
        assert back(read_command(asked.command().message(1))) == asked
    assert [said.name for said in requests.announce("k", (2, 3, 4))] == [
        "releaseStream",
        "FCPublish",
        "createStream",
    ]
    assert [said.arguments for said in requests.farewell("k", 1, (5, 6))] == [("k",), (1,)]


def test_answers():
    granted = answers.connected(1, FORWARDING)
    assert answers.read_status(granted).code == "NetConnection.Connect.Success"
    assert read_abilities(granted.fields()) == FORWARDING
    assert answers.result(4, 1.0).arguments == (1.0,)
    assert answers.result(4).arguments == (None,)
    refused = answers.status(Code.PUBLISH_BAD_NAME, "is being published", level=Level.ERROR)
    assert answers.read_status(read_command(refused.message(1))) == answers.Status(
        "NetStream.Publish.BadName", "error", "is being published"
    )
    assert answers.read_status(answers.rejected(1, "no")).level == "error"
    assert answers.reconnect("later", tc_url="rtmp://b/live").fields()["tcUrl"] == "rtmp://b/live"
    assert "tcUrl" not in answers.reconnect("later").fields()
    assert answers.read_status(Command("onStatus", 0, None, ({"code": 5.0},))) == answers.Status("", "", "")


FIELDS = EcmaArray({"width": 640.0, "encoder": "x"})


def test_metadata():
    kept = metadata(FIELDS, keep=True)
    assert read_metadata(kept) == FIELDS
    bare = bare_metadata(kept)
    assert bare == metadata(FIELDS)
    assert bare_metadata(bare) is bare
    assert read_metadata(bare) == FIELDS
    amf3 = kept._replace(type=Type.DATA_AMF3, payload=b"\0" + kept.payload)
    assert bare_metadata(amf3) == bare
    assert read_metadata(amf3) == FIELDS
    assert read_metadata(Message(Type.DATA, 1, 0, encode("onCuePoint", {"a": 1}))) == {}
    assert read_metadata(Message(Type.DATA, 1, 0, encode("onMetaData", None))) == {}
    assert read_metadata(Message(Type.DATA, 1, 0, b"")) == {}
    assert read_metadata(Message(Type.DATA, 1, 0, amf0.encode("@setDataFrame"))) == {}


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (control.set_chunk_size(4096), "00001000"),
        (control.ack(0x1_0000_0005), "00000005"),
        (control.window_ack(5_000_000), "004c4b40"),
        (control.peer_bandwidth(5_000_000), "004c4b4002"),
        (control.abort(6), "00000006"),
        (control.user_control(control.Event.PING, 77), "00060000004d"),
        (control.set_buffer(1, 3000), "00030000000100000bb8"),
    ],
)
def test_control(message, payload):
    assert message.payload == bytes.fromhex(payload)
    if message.type == Type.USER_CONTROL:
        told = control.read_user_control(message)
        assert told in {
            control.UserControl(control.Event.PING, 77),
            control.UserControl(control.Event.SET_BUFFER, 1, 3000),
        }
    else:
        assert control.read_number(message) == int(payload[:8], 16)


def test_control_that_is_cut_off():
    with pytest.raises(ProtocolFault, match="cut off"):
        control.read_number(Message(3, 0, 0, b"\0\0"))
    with pytest.raises(ProtocolFault, match="cut off"):
        control.read_user_control(Message(4, 0, 0, b"\0"))
