"""Commands: what clients ask for and servers answer (RTMP §7.2), as values, and as messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import amf0
from marchproxy.wire.rtmp.amf0 import Value
from marchproxy.wire.rtmp.message import DATA_TYPES, Message, Type

#: Of a command, in bytes; names and capabilities need a few hundred.
LONGEST_COMMAND: Final = 64 * 1024
#: What a publisher wraps metadata in that are to be kept for those who come later.
SET_DATA_FRAME: Final = "@setDataFrame"
METADATA: Final = "onMetaData"


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `object`: what stands behind the transaction: null, or properties; `arguments`: what follows."""

    name: str
    transaction: float = 0
    object: Value = None
    arguments: tuple[Value, ...] = ()

    def message(self, stream_id: int = 0) -> Message:
        """As a message of a stream, 0: of the connection."""
        payload = amf0.encode(self.name, self.transaction, self.object, *self.arguments)
        return Message(Type.COMMAND, stream_id, 0, payload)

    def text(self, index: int) -> str:
        """An argument that is a text; empty where there is none."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, str) else ""

    def number(self, index: int, default: float = 0) -> float:
        """An argument that is a number, or the default."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, int | float) else default

    def fields(self, index: int = 0) -> Mapping[str, Value]:
        """An argument that is an object, or an array of names; empty where there is none."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, dict) else {}


def read_command(message: Message) -> Command:
    """A command, also in a message of AMF3, which says AMF0 behind a zero. Raises ProtocolFault."""
    payload = message.payload
    if len(payload) > LONGEST_COMMAND:
        raise ProtocolFault(f"a command of {len(payload)} bytes; {LONGEST_COMMAND} are allowed")
    values = amf0.decode(payload, _begin(message))
    name = values[0] if values else None
    if not isinstance(name, str):
        raise ProtocolFault("a command without a name")
    # onStatus and the like come without a transaction from some
    transaction = values[1] if len(values) > 1 else 0
    if not isinstance(transaction, int | float):
        raise ProtocolFault(f"command {name[:40]!r} has a transaction that is no number")
    return Command(name, transaction, values[2] if len(values) > 2 else None, tuple(values[3:]))


def read_metadata(message: Message) -> Mapping[str, Value]:
    """The metadata of a data message, bare or to be kept; none where it is about something else. Raises ProtocolFault."""
    values = amf0.decode(message.payload, _begin(message))
    if values and values[0] == SET_DATA_FRAME:
        del values[0]
    named = len(values) > 1 and values[0] == METADATA
    found = values[1] if named else None
    return found if isinstance(found, dict) else {}


def bare_metadata(message: Message) -> Message:
    """A data message as players get it: without the wrapping of a publisher."""
    begin = _begin(message)
    wrapping = amf0.encode(SET_DATA_FRAME)
    if message.type not in DATA_TYPES or not message.payload.startswith(wrapping, begin):
        return message
    return message._replace(type=Type.DATA, payload=message.payload[begin + len(wrapping) :])


def metadata(fields: Mapping[str, Value], *, keep: bool = False) -> Message:
    """onMetaData of stream 1; `keep`: as a publisher says it."""
    values: list[Value] = [METADATA, amf0.EcmaArray(fields)]
    return Message(Type.DATA, 1, 0, amf0.encode(*([SET_DATA_FRAME] if keep else []), *values))


def _begin(message: Message) -> int:
    """Messages of AMF3 that say AMF0 have a zero first."""
    is_amf3 = message.type in {Type.COMMAND_AMF3, Type.DATA_AMF3}
    return 1 if is_amf3 and message.payload.startswith(b"\0") else 0
