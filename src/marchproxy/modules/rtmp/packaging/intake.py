"""Intake: RTMP's messages as frames on a clock that never wraps, and the set-up of their codecs. Pure."""

from dataclasses import replace
from typing import NamedTuple

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO, Frame, Record
from marchproxy.wire.codecs import vp9
from marchproxy.wire.codecs.readers import BY_CONFIG, BY_FRAME
from marchproxy.wire.codecs.record import VideoRecord
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import media, message
from marchproxy.wire.rtmp.media import Packet
from marchproxy.wire.rtmp.message import Message, elapsed
from marchproxy.wire.rtmp.tracks import Track, split

_NO_CONFIG = "came without a sequence header"
_NO_PLACE = "has no place in MP4"


class Taken(NamedTuple):
    """A frame, and how its track is set up; None: it is only set up."""

    track: str
    record: Record
    frame: Frame | None


class Intake:
    """One publisher's messages. Of several tracks of a kind the first is taken, number 0."""

    def __init__(self) -> None:
        self._last = 0
        self._time = -1
        self._records: dict[str, Record] = {}
        self.unfit: dict[str, str] = {}
        """Tracks that cannot be packaged, and why."""

    def take(self, given: Message) -> Taken | None:
        """What a message brings; None: nothing that can be packaged."""
        if given.type not in {message.AUDIO, message.VIDEO}:
            return None
        kind = VIDEO if given.type == message.VIDEO else AUDIO
        try:
            track = next((one for one in split(given) if one.number == 0), None)
            if track is None:
                return None
            data = given.payload[track.start : track.end]
            record = self._set_up(kind, track, data)
        except ProtocolFault as error:
            self.unfit[kind] = str(error)
            self._records.pop(kind, None)
            return None
        if record is not None and track.packet is Packet.CONFIG:
            return Taken(kind, record, None)
        if record is None or track.packet is not Packet.FRAMES or not data:
            return None
        time = self._clock(given.timestamp)
        return Taken(kind, record, Frame(time, track.composition, kind == AUDIO or track.keyframe, data))

    def _set_up(self, kind: str, track: Track, data: bytes) -> Record | None:
        """The track's record as it is now."""
        record = self._records.get(kind)
        if track.packet is Packet.CONFIG and track.codec in BY_CONFIG:
            record = BY_CONFIG[track.codec](data)
            # the size, where the record does not tell, stays until a keyframe says another
            record = _sized_as(record, self._records.get(kind))
        elif track.packet is not Packet.FRAMES or not data:
            return record
        elif record is None and track.codec in BY_FRAME:
            record = BY_FRAME[track.codec](data)
        elif record is None:
            lacks = track.codec in BY_CONFIG
            self.unfit[kind] = f"{track.codec or 'an unknown codec'} {_NO_CONFIG if lacks else _NO_PLACE}"
            return None
        elif track.codec == media.VP9 and track.keyframe and isinstance(record, VideoRecord):
            width, height = vp9.frame_size(data)
            record = replace(record, width=width, height=height)
        self.unfit.pop(kind, None)
        self._records[kind] = record
        return record

    def _clock(self, timestamp: int) -> int:
        time = self._time + elapsed(self._last, timestamp)
        # before the first message and before its own beginning a clock says what the publisher says
        self._time = time if self._time >= 0 and time >= 0 else timestamp
        self._last = timestamp
        return self._time


def _sized_as(record: Record, before: Record | None) -> Record:
    if isinstance(record, VideoRecord) and isinstance(before, VideoRecord) and not record.width:
        return replace(record, width=before.width, height=before.height)
    return record
