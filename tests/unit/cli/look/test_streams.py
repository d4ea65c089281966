"""Live streams in, a table out."""

from google.protobuf.duration_pb2 import Duration
from rich.console import Console

from marchproxy.cli.look.streams import streams
from marchproxy.contract.pb import module_pb2, types_pb2

_CAM = types_pb2.LiveStream(
    key="/live/cam", route_id="live", state="live", age=Duration(seconds=3700), video_codec="avc1.64001f",
    audio_codec="mp4a.40.2", width=1280, height=720, frames_per_second=29.97, bitrate_kbps=2500.4,
    gop_length=Duration(seconds=2), latency=Duration(nanos=1_500_000), players=3, viewers=14, dropped_messages=15,
    packaged=["a", "v", "v480"], pushes=["ok cdn.example"],
)  # fmt: skip
_SENT = types_pb2.LiveStream(
    key="tv.example/live/[b]",
    route_id="sent",
    state="moving",
    origin="10.0.0.1:1935",
    version="v2",
    rehomed=2,
)


def printed(answers: dict[str, module_pb2.GetRoutesResponse]) -> str:
    console = Console(width=260, highlight=False)
    with console.capture() as capture:
        console.print(streams(answers).rendered())
    return capture.get()


def test_what_is_known_of_a_stream() -> None:
    answer = module_pb2.GetRoutesResponse(streams=[_CAM, _SENT], total_streams=5)
    lines = printed({"rtmp-1": answer}).splitlines()
    cam = next(line for line in lines if "live/cam" in line)
    for words in (
        " live/cam ", "1:01:40", "avc1.64001f, mp4a.40.2", "1280x720 30/s", " 2500 ", " 2.0 ", " 3 ", " 14 ", " 1.5 ", " 15 ",
        " here ", "packaged: a, v, v480",
    ):  # fmt: skip
        assert words in cam
    sent = next(line for line in lines if "tv.example/live/[b]" in line)
    assert "moving" in sent
    assert "10.0.0.1:1935 (v2)" in sent
    assert "moved 2 times" in sent
    assert any("push ok cdn.example" in line for line in lines)
    assert any("and 3 more" in line for line in lines)


def test_nobody() -> None:
    assert "nobody publishes" in printed({"rtmp-1": module_pb2.GetRoutesResponse()})
