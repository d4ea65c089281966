"""Facts: what a live stream is like, for those who ask. Pure."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from marchproxy.model.live_stream import StreamReport
from marchproxy.modules.rtmp.streams.live import LiveStream, State
from marchproxy.wire.codecs.readers import BY_CONFIG
from marchproxy.wire.codecs.record import VideoRecord
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.media import look
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message
from marchproxy.wire.rtmp.preface import Preface
from marchproxy.wire.rtmp.tracks import split


class Look(NamedTuple):
    """A track: its codec, by RFC 6381 where its configuration says so much, else its FourCC; pixels of a picture, or 0."""

    codec: str = ""
    width: int = 0
    height: int = 0


class Seen(Protocol):
    """What is known of a stream's tracks: what decoders need, and how a frame of each began."""

    preface: Preface
    video: bytes
    audio: bytes


def report(stream: LiveStream, now: float, pushes: Sequence[str] = ()) -> StreamReport:
    """The stream as it is at this time, in the clock's seconds; `pushes`: how they are, in words."""
    video, audio = track_of(stream.feed, VIDEO), track_of(stream.feed, AUDIO)
    meter, publisher = stream.meter, stream.publisher
    return StreamReport(
        key=stream.key.text,
        route=str(stream.route.route_id),
        state="live" if stream.state is State.LIVE else "waiting",
        publisher="" if publisher is None else publisher.address,
        age=round(now - stream.live_since, 1),
        video=video.codec,
        audio=audio.codec,
        width=video.width,
        height=video.height,
        fps=round(meter.fps, 2),
        bitrate=round(meter.bitrate, 1),
        gop=stream.feed.gop / 1000,
        players=len(stream.audience),
        latency=stream.latency,
        dropped=stream.drops,
        pushes=tuple(pushes),
    )


def track_of(feed: Seen, kind: int) -> Look:
    """The first track of audio or video."""
    config = feed.preface.config(kind)
    if config is not None:
        return _read(kind, config.payload)
    return Look(look(kind, feed.video if kind == VIDEO else feed.audio).codec)


@lru_cache(maxsize=1024)
def _read(kind: int, payload: bytes) -> Look:
    try:
        tracks = split(Message(kind, 1, 0, payload))
        codec = tracks[0].codec if tracks else ""
        if codec not in BY_CONFIG:
            return Look(codec)
        record = BY_CONFIG[codec](payload[tracks[0].start : tracks[0].end])
    except ProtocolFault:
        return Look(look(kind, payload).codec)
    if isinstance(record, VideoRecord):
        return Look(record.codec, record.width, record.height)
    return Look(record.codec)
