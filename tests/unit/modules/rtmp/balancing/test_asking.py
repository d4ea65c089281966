"""What origins are told so that they serve a client, and what they answer."""

import pytest

from marchproxy.model.rtmp import RtmpPool
from marchproxy.model.streams import read_key
from marchproxy.modules.rtmp.balancing.asking import Asking, Place, place_of
from marchproxy.modules.rtmp.session.roles import Action, Wish
from marchproxy.wire.rtmp import answers, requests
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.commands import Command, read_command
from marchproxy.wire.rtmp.connect import Connect
from marchproxy.wire.rtmp.message import COMMAND_TYPES, Type

PROPERTIES = {"flashVer": "FMLE", "fourCcList": ["hvc1"], "capsEx": 3.0}


def wish(action=Action.PUBLISH, app="live", name="a", tc_url="rtmp://media.example.com/live"):
    key, query = read_key(tc_url, app, name)
    connect = Connect(app, tc_url, 7, PROPERTIES, ("login",))
    return Wish(action, key, name, query, connect, 1, 9)


@pytest.mark.parametrize(
    ("options", "said", "place"),
    [
        (RtmpPool(), {}, Place("live", "rtmp://media.example.com/live", "a")),
        (
            RtmpPool(),
            {"app": "live?a=1", "name": "a?token=x", "tc_url": "rtmp://h/live?a=1"},
            Place("live", "rtmp://h/live", "a"),
        ),
        (
            RtmpPool(hide_query=False),
            {"app": "live?a=1", "name": "a?token=x"},
            Place("live?a=1", "rtmp://media.example.com/live", "a?token=x"),
        ),
        (RtmpPool(app="other"), {"name": "eu/a"}, Place("other", "rtmp://media.example.com/other", "a")),
        (
            RtmpPool(app="other", hide_query=False),
            {"name": "a?t=1"},
            Place("other", "rtmp://media.example.com/other", "a?t=1"),
        ),
        (RtmpPool(app="other"), {"tc_url": "live"}, Place("other", "live", "a")),
        (RtmpPool(app="other"), {"tc_url": "rtmp://[::1/live"}, Place("other", "rtmp://[::1/live", "a")),
    ],
)
def test_what_a_stream_is_called_there(options, said, place):
    assert place_of(wish(**said), options) == place


def commands(messages):
    return [
        (read_command(one).name, one.stream_id, read_command(one).arguments)
        for one in messages
        if one.type in COMMAND_TYPES
    ]


def asked(asking):
    """What is said until a stream is there, whose number is 5."""
    (connect,) = asking.begin()
    said = asking.heed(answers.connected(1, answers.Abilities()))
    create = next(read_command(one) for one in said if read_command(one).name == requests.CREATE_STREAM)
    return read_command(connect), said, asking.heed(answers.result(create.transaction, 5.0))


def test_a_publisher():
    asking = Asking(wish(), RtmpPool())
    connect, said, last = asked(asking)
    assert connect.object == {"app": "live", "tcUrl": "rtmp://media.example.com/live", "flashVer": "FMLE"}
    assert connect.arguments == ("login",)
    assert commands(said) == [("releaseStream", 0, ("a",)), ("FCPublish", 0, ("a",)), ("createStream", 0, ())]
    assert commands(last) == [("publish", 5, ("a", "live"))]
    assert not asking.is_answered
    assert asking.heed(answers.rejected(2, "unknown", code=Code.CALL_FAILED)) == ()
    assert not asking.is_answered
    asking.heed(answers.status(Code.PUBLISH_START, "go"))
    assert asking.is_served
    assert [read_command(one).name for one in asking.farewell()] == ["FCUnpublish", "deleteStream"]


def test_a_player():
    asking = Asking(wish(Action.PLAY), RtmpPool())
    _, said, last = asked(asking)
    assert commands(said) == [("createStream", 0, ())]
    assert commands(last) == [("play", 5, ("a", -2.0))]
    assert last[1].type == Type.USER_CONTROL
    asking.heed(answers.status(Code.PLAY_RESET, ""))
    asking.heed(Command("onBWDone"))
    assert not asking.is_answered
    asking.heed(answers.status(Code.PLAY_START, "go"))
    assert asking.is_served
    assert commands(asking.farewell()) == [("deleteStream", 0, (5.0,))]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answers.rejected(1, "no such app"), Code.CONNECT_REJECTED),
        (answers.rejected(4, "no"), Code.CONNECT_REJECTED),
        (answers.status(Code.PUBLISH_BAD_NAME, "busy", level=Level.ERROR), Code.PUBLISH_BAD_NAME),
        (Command("close"), ""),
    ],
)
def test_refusals(said, code):
    asking = Asking(wish(), RtmpPool())
    asking.heed(said)
    assert asking.is_answered
    assert not asking.is_served
    assert asking.refusal.code == code
