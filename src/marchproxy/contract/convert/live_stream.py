"""Live streams, as they are told."""

from marchproxy.contract.convert.times import seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.live_stream import StreamReport


def stream_to_pb(stream: StreamReport) -> types_pb2.LiveStream:
    """The message; times that are 0 are not known, and unset."""
    return types_pb2.LiveStream(
        key=stream.key,
        route_id=stream.route,
        pool=stream.pool,
        origin=stream.origin,
        version=stream.version,
        state=stream.state,
        publisher=stream.publisher,
        age=seconds_to_pb(stream.age),
        video_codec=stream.video,
        audio_codec=stream.audio,
        width=stream.width,
        height=stream.height,
        frames_per_second=stream.fps,
        bitrate_kbps=stream.bitrate,
        gop_length=seconds_to_pb(stream.gop) if stream.gop else None,
        players=stream.players,
        viewers=stream.viewers,
        latency=seconds_to_pb(stream.latency) if stream.latency else None,
        dropped_messages=stream.dropped,
        rehomed=stream.rehomed,
        packaged=stream.packaged,
        pushes=stream.pushes,
    )
