import pytest

from marchproxy.modules.rtmp.pushing.dialogue import PushDialogue, Refused, State
from marchproxy.modules.rtmp.pushing.target import Target
from marchproxy.modules.rtmp.session.dialogue import Dialogue
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.wire.rtmp import answers, control
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.commands import Command, bare_metadata, metadata, read_metadata
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.message import DATA_TYPES, Message
from tests.unit.modules.rtmp.streams.crafted import BEGINNING, key, media, sound

_TARGET = Target("a.example", 1935, secure=False, app="app", name="s?key=1")


class _Server:
    """Our own side of clients, to which it talks."""

    def __init__(self) -> None:
        self.client = PushDialogue(_TARGET, bytes(NOISE))
        self.handshake = ServerHandshake(bytes(NOISE))
        self.server = Dialogue()
        self.seen: list[Message] = []

    def shake(self) -> bytes:
        """What the client says behind the handshake."""
        answer = self.handshake.feed(self.client.begin())
        self.handshake.feed(self.client.feed(answer))
        assert self.handshake.done
        return self.handshake.leftover

    def talk(self, data: bytes) -> None:
        """Until nobody has to say anything more."""
        while data:
            self.seen += self.server.feed(data)
            data = self.client.feed(self.server.take_out())

    def say(self, *parts: Message | Command) -> None:
        self.server.say(*parts)
        self.talk(self.client.feed(self.server.take_out()))

    def start(self) -> None:
        self.talk(self.shake())
        assert self.client.state is State.PUBLISHING
        self.server.grant()
        self.say(answers.status(Code.PUBLISH_START, "go on"))


def test_a_stream_is_published() -> None:
    scene = _Server()
    scene.start()
    assert scene.client.state is State.LIVE
    wish = scene.server.wish
    assert wish is not None
    assert (wish.action, wish.key.app, wish.key.name, wish.query) == (Action.PUBLISH, "app", "s", "key=1")
    sent = [bare_metadata(BEGINNING[0]), *BEGINNING[1:], key(0, bytes(200_000)), sound(0)]
    scene.talk(scene.client.media(sent))
    assert media(scene.seen) == media(sent)
    (told,) = [one for one in scene.seen if one.type in DATA_TYPES]
    assert b"@setDataFrame" in told.payload
    assert read_metadata(told) == {"width": 64.0}


def test_byte_by_byte() -> None:
    scene = _Server()
    answer = scene.handshake.feed(scene.client.begin())
    said = b"".join(scene.client.feed(answer[at : at + 1]) for at in range(len(answer)))
    scene.handshake.feed(said)
    scene.server.feed(scene.handshake.leftover)
    answer = scene.server.take_out()
    scene.talk(b"".join(scene.client.feed(answer[at : at + 1]) for at in range(len(answer))))
    assert scene.client.state is State.PUBLISHING


def test_other_data_are_no_metadata() -> None:
    scene = _Server()
    scene.start()
    cue = metadata({"a": 1.0})._replace(payload=b"\x02\0\x0aonCuePoint")
    scene.talk(scene.client.media([cue]))
    assert scene.seen[-1].payload == cue.payload


@pytest.mark.parametrize(
    "answer",
    [
        answers.rejected(1, "no such app"),
        answers.status(Code.PUBLISH_BAD_NAME, "no such app", level=Level.ERROR),
    ],
)
def test_a_server_that_does_not_want_it_says_why(answer: Command) -> None:
    scene = _Server()
    scene.shake()
    scene.server.say(answer)
    with pytest.raises(Refused, match="no such app"):
        scene.client.feed(scene.server.take_out())


@pytest.mark.parametrize("code", [Code.RECONNECT, Code.UNPUBLISHED])
def test_a_server_that_wants_us_to_go(code: Code) -> None:
    scene = _Server()
    scene.start()
    scene.server.say(answers.status(code, "go\x1b[2J"))
    with pytest.raises(Refused, match=r"go\[2J"):
        scene.client.feed(scene.server.take_out())


def test_a_refused_announcement_is_no_matter() -> None:
    scene = _Server()
    scene.start()
    scene.say(answers.rejected(2, "releaseStream is not known"))
    assert scene.client.state is State.LIVE


def test_pings_are_answered() -> None:
    scene = _Server()
    scene.start()
    scene.server.say(control.user_control(Event.PING, 77))
    assert b"\0\x07\0\0\0\x4d" in scene.client.feed(scene.server.take_out())


def test_farewell() -> None:
    scene = _Server()
    scene.start()
    scene.talk(scene.client.farewell())
    assert [one.payload[3:15] for one in scene.seen[-2:]] == [b"FCUnpublish\0", b"deleteStream"]
