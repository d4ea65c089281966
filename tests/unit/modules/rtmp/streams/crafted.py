"""Messages of a stream, as encoders send them, and players that are none."""

from collections.abc import Sequence
from typing import Any

from marchproxy.kit.settings import HostPort
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.modules.rtmp.session.dialogue import CHUNK_SIZE
from marchproxy.modules.rtmp.session.roles import Action, Client, Role, Wish
from marchproxy.modules.rtmp.streams.batch import read_chunks
from marchproxy.wire.rtmp import answers, commands
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.connect import Connect
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, DATA_TYPES, VIDEO, Message

KEY = StreamKey("", "live", "a")
#: 640x360, as x264 says it.
AVC_CONFIG = bytes.fromhex(
    "170000000001f4001effe1001b67f4001e919b281405ff1380880000030008000003019078b16cb001000568efb19219fff8f800"
)
AAC_CONFIG = bytes.fromhex("af001210")


def metadata(**fields: Any) -> Message:
    return commands.metadata(fields, keep=True)


def video_config(time: int = 0) -> Message:
    return Message(VIDEO, 1, time, AVC_CONFIG)


def audio_config(time: int = 0) -> Message:
    return Message(AUDIO, 1, time, AAC_CONFIG)


def key(time: int, body: bytes = b"key") -> Message:
    return Message(VIDEO, 1, time, b"\x17\x01\0\0\0" + body)


def inter(time: int, body: bytes = b"inter") -> Message:
    return Message(VIDEO, 1, time, b"\x27\x01\0\0\0" + body)


def sound(time: int, body: bytes = b"sound") -> Message:
    return Message(AUDIO, 1, time, b"\xaf\x01" + body)


#: How an encoder begins.
BEGINNING = [metadata(width=64.0), video_config(), audio_config()]


def plan(route_id: str = "live", **options: Any) -> RoutePlan:
    route = Route(RouteId(route_id), rtmp=RtmpRoute(**options))
    return RoutePlan(route, RtmpRoute(**options))


class FakeClient:
    """A Client that keeps what is written to it; `waiting` bytes of it were not read."""

    def __init__(
        self, action: Action = Action.PLAY, *, stream_id: int = 1, route: RoutePlan | None = None
    ) -> None:
        self.arrival = Arrival(HostPort("192.0.2.1", 5), 1935)
        self.wish = Wish(action, KEY, KEY.name, "", Connect("live"), stream_id)
        self.route = route or plan()
        self.recorded, self.between, self.chunk_size = b"", True, CHUNK_SIZE
        self.written: list[bytes] = []
        self.said: list[Message] = []
        self.waiting = 0
        self.in_turns = False
        self.closed = ""
        self.asked = ""
        self.role: Role | None = None

    def serve(self, role: Role) -> "FakeClient":
        self.role = role
        role.begin(self)
        return self

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def send(self, *messages: Message | Command) -> None:
        self.said += [one.message() if isinstance(one, Command) else one for one in messages]

    def queued(self) -> int:
        return self.waiting

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def want_raw(self) -> None: ...

    def ask_to_reconnect(self, description: str, tc_url: str = "") -> bool:
        self.asked = description + tc_url
        return True

    def close(self, reason: str, *farewell: Message | Command) -> None:
        assert not self.closed
        self.closed = reason
        self.send(*farewell)

    # what tests ask

    def take(self) -> list[Message]:
        """What was written since."""
        written, self.written = self.written, []
        return [one._replace(csid=0) for one in read_chunks(b"".join(written))]

    def codes(self) -> list[str]:
        """The statuses that it was told since, each with the stream that it was about."""
        said, self.said = self.said, []
        found = [(one, commands.read_command(one)) for one in said if one.type in COMMAND_TYPES]
        assert all(message.stream_id == self.wish.stream_id for message, _ in found)
        return [answers.read_status(command).code for _, command in found]


_IS_CLIENT: type[Client] = FakeClient


def media(messages: Sequence[Message]) -> list[tuple[int, bytes]]:
    """Their times and payloads, without metadata."""
    return [(one.timestamp, one.payload) for one in messages if one.type not in DATA_TYPES]
