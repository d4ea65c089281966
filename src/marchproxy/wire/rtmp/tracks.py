"""Tracks: what is in a whole message of audio or video, one or many tracks (Enhanced RTMP v2, "Multitrack")."""

from typing import Final, NamedTuple

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.media import Media, Packet, Tracks, composition_of, look
from marchproxy.wire.rtmp.message import Message

#: Of one message; encoders send a handful.
MOST_TRACKS: Final = 64


class Track(NamedTuple):
    """A track's part of a message: the codec's own bytes are those of the payload from start to end."""

    number: int
    codec: str
    packet: Packet
    keyframe: bool
    composition: int
    start: int
    end: int


def split(message: Message) -> list[Track]:
    """The tracks of a message; none where it is not to be understood. Raises ProtocolFault where their sizes do not fit."""
    payload = message.payload
    media = look(message.type, payload)
    if media.packet is Packet.OTHER:
        return []
    if media.tracks in {Tracks.PLAIN, Tracks.ONE}:
        place = (media.body, max(media.body, len(payload)))
        return [Track(media.track, media.codec, media.packet, media.keyframe, media.composition, *place)]
    found: list[Track] = []
    at = media.body
    while at < len(payload):
        if len(found) == MOST_TRACKS:
            raise ProtocolFault(f"more than {MOST_TRACKS} tracks in a message")
        track = _track(message, media, at)
        found.append(track)
        at = track.end
    return found


def _track(message: Message, media: Media, at: int) -> Track:
    payload, codec = message.payload, media.codec
    if media.tracks is Tracks.MANY_CODECS:
        codec, at = payload[at : at + 4].decode("latin-1"), at + 4
    start = at + 4
    end = start + int.from_bytes(payload[at + 1 : start])
    if end > len(payload):
        raise ProtocolFault("a track reaches over the end of its message")
    composition = 0
    if media.composed:
        composition, start = composition_of(codec, payload[:end], start)
    return Track(payload[at], codec, media.packet, media.keyframe, composition, start, end)
