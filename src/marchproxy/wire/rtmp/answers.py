"""Answers: what a server says to a client's commands (RTMP §7.2), and what a client reads of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marchproxy.wire.rtmp.amf0 import Value
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.connect import Abilities
from marchproxy.wire.rtmp.control import Event, user_control
from marchproxy.wire.rtmp.message import Message

RESULT: Final = "_result"
ERROR: Final = "_error"
ON_STATUS: Final = "onStatus"
ON_BANDWIDTH_DONE: Final = "onBWDone"
ON_FC_PUBLISH: Final = "onFCPublish"
ON_FC_UNPUBLISH: Final = "onFCUnpublish"
#: Clients take abilities from servers that call themselves something with a comma and numbers; these are FMS 3.
_SERVER: Final = "FMS/3,0,1,123"
_SERVER_CAPABILITIES: Final = 31


class Level(StrEnum):
    """How a status is meant."""

    STATUS = "status"
    WARNING = "warning"
    ERROR = "error"


class Code(StrEnum):
    """What a status says. Clients compare whole texts."""

    CONNECTED = "NetConnection.Connect.Success"
    CONNECT_REJECTED = "NetConnection.Connect.Rejected"
    CONNECT_CLOSED = "NetConnection.Connect.Closed"
    INVALID_APP = "NetConnection.Connect.InvalidApp"
    RECONNECT = "NetConnection.Connect.ReconnectRequest"
    CALL_FAILED = "NetConnection.Call.Failed"
    PUBLISH_START = "NetStream.Publish.Start"
    PUBLISH_BAD_NAME = "NetStream.Publish.BadName"
    PUBLISH_DENIED = "NetStream.Publish.Denied"
    PUBLISH_IDLE = "NetStream.Publish.Idle"
    UNPUBLISHED = "NetStream.Unpublish.Success"
    PLAY_RESET = "NetStream.Play.Reset"
    PLAY_START = "NetStream.Play.Start"
    PLAY_STOP = "NetStream.Play.Stop"
    PLAY_FAILED = "NetStream.Play.Failed"
    PLAY_NOT_FOUND = "NetStream.Play.StreamNotFound"
    PLAY_PUBLISHED = "NetStream.Play.PublishNotify"
    PLAY_UNPUBLISHED = "NetStream.Play.UnpublishNotify"
    DATA_START = "NetStream.Data.Start"
    FAILED = "NetStream.Failed"


@dataclass(frozen=True, slots=True)
class Status:
    """What an `onStatus`, or the answer to a `connect`, says."""

    code: str
    level: str
    description: str = ""


def status(code: Code, description: str, *, level: Level = Level.STATUS, transaction: float = 0) -> Command:
    """An onStatus. It belongs to the stream that it is about."""
    info: Value = {"level": level.value, "code": code.value, "description": description}
    return Command(ON_STATUS, transaction, None, (info,))


def played(name: str, stream_id: int) -> tuple[Message, ...]:
    """A stream begins for a player."""
    return (
        user_control(Event.STREAM_BEGIN, stream_id),
        status(Code.PLAY_RESET, f"{name} starts anew").message(stream_id),
        status(Code.PLAY_START, f"{name} is live").message(stream_id),
    )


def connected(transaction: float, abilities: Abilities, *, amf3: bool = False) -> Command:
    """connect is granted; `amf3`: the client asked for objectEncoding 3, and may go on in it."""
    info: dict[str, Value] = {
        "level": Level.STATUS.value,
        "code": Code.CONNECTED.value,
        "description": "Connection succeeded.",
        "objectEncoding": 3.0 if amf3 else 0.0,
        **abilities.fields(),
    }
    properties: Value = {"fmsVer": _SERVER, "capabilities": float(_SERVER_CAPABILITIES)}
    return Command(RESULT, transaction, properties, (info,))


def rejected(transaction: float, description: str, *, code: Code = Code.CONNECT_REJECTED) -> Command:
    """connect, or another command, is refused."""
    info: Value = {"level": Level.ERROR.value, "code": code.value, "description": description}
    return Command(ERROR, transaction, None, (info,))


def result(transaction: float, *values: Value) -> Command:
    """A command is done; without values: with null."""
    return Command(RESULT, transaction, None, values or (None,))


def reconnect(description: str, *, tc_url: str = "") -> Command:
    """A ReconnectRequest (Enhanced RTMP v2): the client shall connect again, there or where it was. It belongs to stream 0."""
    info: dict[str, Value] = {
        "level": Level.STATUS.value,
        "code": Code.RECONNECT.value,
        "description": description,
    }
    if tc_url:
        info["tcUrl"] = tc_url
    return Command(ON_STATUS, 0, None, (info,))


def read_status(command: Command) -> Status:
    """What an onStatus or an answer to connect says; empty texts where it says nothing."""
    info = command.fields()

    def text(name: str) -> str:
        value = info.get(name)
        return value if isinstance(value, str) else ""

    return Status(text("code"), text("level"), text("description"))
