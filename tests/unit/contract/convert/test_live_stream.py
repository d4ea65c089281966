"""Live streams as messages."""

from marchproxy.contract.convert import stream_to_pb
from marchproxy.model.live_stream import StreamReport, most_watched

_FULL = StreamReport(
    key="live.example/live/cam",
    route="live",
    pool="origins",
    origin="10.0.0.1:1935",
    version="v2",
    state="moving",
    publisher="192.0.2.1:5000",
    age=90.5,
    video="avc1.64001f",
    audio="mp4a.40.2",
    width=1280,
    height=720,
    fps=29.97,
    bitrate=2500.5,
    gop=2.0,
    players=3,
    viewers=4,
    latency=0.0005,
    dropped=7,
    rehomed=1,
    packaged=("a", "v", "v480"),
    pushes=("ok rtmp.example",),
)


def test_all_of_it_is_told() -> None:
    pb = stream_to_pb(_FULL)
    assert (pb.age.ToSeconds(), pb.gop_length.ToSeconds(), pb.latency.ToMicroseconds()) == (90, 2, 500)
    assert {field.name for field, _ in pb.ListFields()} == set(pb.DESCRIPTOR.fields_by_name)
    assert (pb.video_codec, pb.width, pb.height, pb.frames_per_second) == ("avc1.64001f", 1280, 720, 29.97)
    assert (pb.key, pb.route_id, pb.pool, pb.origin, pb.version) == (
        "live.example/live/cam", "live", "origins", "10.0.0.1:1935", "v2",
    )  # fmt: skip


def test_what_is_not_known_is_unset() -> None:
    pb = stream_to_pb(StreamReport("/live/cam", "live"))
    assert not pb.HasField("gop_length")
    assert not pb.HasField("latency")


def test_the_most_watched_come_first() -> None:
    streams = [
        StreamReport("b", "r"),
        StreamReport("c", "r", viewers=2),
        StreamReport("d", "r", players=3),
        StreamReport("a", "r"),
    ]
    assert [one.key for one in most_watched(streams, 3)] == ["d", "c", "a"]
