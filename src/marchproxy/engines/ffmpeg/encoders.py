"""Encoders: how ffmpeg is told of each. All begin a GOP only where the source does, and frames come out in their order."""

from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.model.rtmp import Encoder


@dataclass(frozen=True, slots=True)
class Way:
    """`name` in ffmpeg, the options of the output, those before the input, and what pictures go through last."""

    name: str
    options: tuple[str, ...] = ()
    device: tuple[str, ...] = ()
    last: str = "format=yuv420p"


#: In the order in which they are tried.
WAYS: Mapping[Encoder, Way] = {
    Encoder.NVENC: Way("h264_nvenc", ("-preset", "p4", "-forced-idr", "1", "-no-scenecut", "1")),
    Encoder.QSV: Way("h264_qsv", ("-preset", "veryfast", "-forced_idr", "1"), last="format=nv12"),
    Encoder.VAAPI: Way(
        "h264_vaapi", device=("-vaapi_device", "/dev/dri/renderD128"), last="format=nv12,hwupload"
    ),
    Encoder.AMF: Way("h264_amf", ("-quality", "speed")),
    Encoder.X264: Way(
        "libx264", ("-preset", "veryfast", "-profile:v", "high", "-sc_threshold", "0", "-forced-idr", "1")
    ),
}
