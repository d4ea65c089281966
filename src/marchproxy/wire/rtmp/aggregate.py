"""Aggregates: many messages of one stream in one (RTMP §7.1.6): the tags of an FLV, with times of their own."""

from typing import Final

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.message import TIME_MASK, Message

_HEAD: Final = 11
#: Behind each part: its size, which nobody needs.
_BACK: Final = 4


def split_aggregate(message: Message) -> list[Message]:
    """The messages in one of type AGGREGATE; the first is of its time, the others so much later as they say.

    Raises ProtocolFault where one reaches over the end.
    """
    payload, at = message.payload, 0
    first: int | None = None
    found: list[Message] = []
    while at < len(payload):
        end = at + _HEAD + int.from_bytes(payload[at + 1 : at + 4])
        if end > len(payload):
            raise ProtocolFault("a part of an aggregate reaches over its end")
        time = int.from_bytes(payload[at + 4 : at + 7]) | payload[at + 7] << 24
        first = time if first is None else first
        timestamp = (message.timestamp + time - first) & TIME_MASK
        found.append(
            Message(payload[at], message.stream_id, timestamp, payload[at + _HEAD : end], message.csid)
        )
        at = end + _BACK
    return found
