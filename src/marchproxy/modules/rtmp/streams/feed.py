"""Feed: a publisher's messages made into what players get, and what shows of the stream while that is done. Pure."""

from collections.abc import Sequence
from typing import Final

from marchproxy.modules.rtmp.streams.batch import NO_ENTRY, STREAM_ID, Batch
from marchproxy.modules.rtmp.streams.timeline import Timeline
from marchproxy.wire.rtmp.aggregate import split_aggregate
from marchproxy.wire.rtmp.commands import bare_metadata
from marchproxy.wire.rtmp.media import FIRST, is_lasting, look
from marchproxy.wire.rtmp.message import AUDIO, DATA_TYPES, VIDEO, Message, Type
from marchproxy.wire.rtmp.preface import Preface

#: Milliseconds without a keyframe after which players get video all the same: some encoders refresh pictures otherwise.
PATIENCE: Final = 30_000
_AGGREGATE: Final = int(Type.AGGREGATE)
_MEDIA: Final = frozenset({AUDIO, VIDEO})
_FRAME_TYPE, _KEY = 0x70, 0x10


class Feed:
    """One stream's. A publisher that follows another one goes on in the same time."""

    __slots__ = (
        "_enters", "_has_video", "_is_keyed", "_is_overdue", "_key_at", "audio", "frames", "gop", "keyless", "preface",
        "timeline", "video",
    )  # fmt: skip

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.preface = Preface()
        """Another one where it may have changed: batches know the one of their entry."""
        self.frames = 0
        """Of video, since the beginning."""
        self.keyless = 0
        """How often no keyframe came for PATIENCE."""
        self.gop = 0
        """Milliseconds between the last two keyframes; 0: there were no two."""
        self.video = self.audio = b""
        """How a frame of each began; empty: there was none."""
        self._key_at = 0
        self._enters = self._has_video = self._is_keyed = self._is_overdue = False

    def restart(self) -> None:
        """Another publisher comes."""
        self.timeline.leave()
        self.preface = Preface()
        self.video = self.audio = b""
        self._has_video = self._is_keyed = self._is_overdue = False

    def take(self, messages: Sequence[Message], now: float) -> Batch | None:
        """The messages of one read, at this time in seconds; None: players get nothing of them. Raises ProtocolFault."""
        self.timeline.arrive(now)
        out: list[Message] = []
        size, entry, preface, latest_entry = 0, NO_ENTRY, self.preface, self._has_video
        for message in _flat(messages):
            payload = message.payload
            if message.type in _MEDIA and payload and not is_lasting(message.type, payload):
                made = self._frame(message)
                if self._enters and (latest_entry or entry < 0):
                    entry, preface = len(out), self.preface
            else:
                made = self._other(message)
            if made is not None:
                out.append(made)
                size += len(made.payload)
        return Batch(out, size, entry, preface) if out else None

    def _frame(self, message: Message) -> Message | None:
        """A frame as players get it; None: they do not."""
        timestamp = self.timeline.stamp(message.timestamp)
        if message.type == VIDEO:
            if not self._video(message.payload):
                self._enters = False
                return None
        else:
            self._enters = not self._has_video or self._is_overdue
            if not self.audio:
                self.audio = message.payload[:FIRST]
        if timestamp == message.timestamp and message.stream_id == STREAM_ID:
            return message
        return Message(message.type, STREAM_ID, timestamp, message.payload)

    def _video(self, payload: bytes) -> bool:
        """Whether players get this frame: there was a keyframe before, or it is one."""
        self.frames += 1
        latest = self.timeline.latest
        if not self._has_video:
            self._has_video, self._key_at = True, latest
            self.video = payload[:FIRST]
        if payload[0] & _FRAME_TYPE == _KEY and _is_first_tracks(payload):
            if self._is_keyed:
                self.gop = latest - self._key_at
            self._is_keyed, self._key_at, self._is_overdue = True, latest, False
            self._enters = True
            return True
        if latest - self._key_at > PATIENCE and not self._is_overdue:
            self._is_overdue = True
            self.keyless += 1
        self._enters = self._is_overdue
        return self._is_keyed or self._is_overdue

    def _other(self, message: Message) -> Message | None:
        """What is no frame, as players get it; None: they do not."""
        kind, timeline = message.type, self.timeline
        if kind in DATA_TYPES:
            self._note(message)
            made = bare_metadata(message)
            return Message(made.type, STREAM_ID, timeline.now, made.payload)
        if not message.payload or kind not in _MEDIA:
            return None
        self._note(message)
        timestamp = message.timestamp if timeline.latest < 0 else timeline.now
        return Message(kind, STREAM_ID, timestamp, message.payload)

    def _note(self, message: Message) -> None:
        preface = self.preface.copy()
        if preface.note(message):
            self.preface = preface


def _is_first_tracks(payload: bytes) -> bool:
    """Whether it is a keyframe, and not one of another track than the first."""
    media = look(VIDEO, payload)
    return media.keyframe and media.track == 0


def _flat(messages: Sequence[Message]) -> Sequence[Message]:
    """With what is in aggregates in their places."""
    for message in messages:
        if message.type == _AGGREGATE:
            parts = [split_aggregate(one) if one.type == _AGGREGATE else [one] for one in messages]
            return [one for part in parts for one in part]
    return messages
