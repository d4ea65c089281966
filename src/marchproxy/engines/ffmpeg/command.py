"""Command: the command line of one ladder: FLV in by one pipe, FLV of each rung out by another. Pure."""

from collections.abc import Sequence

from marchproxy.engines.ffmpeg.encoders import Way
from marchproxy.model.rtmp import Rung

_NO_OWN_KEYFRAMES = "100000"  # frames; every keyframe is one of the source
_QUIET = ("-hide_banner", "-v", "error", "-nostats")


def ladder_command(ffmpeg: str, way: Way, rungs: Sequence[Rung], pipes: Sequence[int]) -> list[str]:
    """How ffmpeg encodes these rungs, each to its descriptor. Times stay those of the source."""
    command = [ffmpeg, *_QUIET, *way.device, "-copyts", "-f", "flv", "-i", "pipe:0"]
    command += ["-filter_complex", _filters(way, rungs)]
    for index, (rung, pipe) in enumerate(zip(rungs, pipes, strict=True)):
        command += ["-map", f"[out{index}]", "-c:v", way.name, *way.options, "-bf", "0"]
        command += ["-b:v", f"{rung.video_rate}k", "-maxrate", f"{rung.video_rate * 11 // 10}k"]
        command += ["-bufsize", f"{rung.video_rate * 2}k"]
        command += ["-g", _NO_OWN_KEYFRAMES, "-force_key_frames", "source", "-fps_mode", "passthrough"]
        command += ["-flush_packets", "1", "-flvflags", "no_duration_filesize", "-f", "flv", f"pipe:{pipe}"]
    return command


def probe_command(ffmpeg: str, way: Way) -> list[str]:
    """How one frame is encoded to nowhere."""
    source = ["-f", "lavfi", "-i", "color=size=320x180:rate=25:duration=1"]
    output = ["-vf", way.last, "-frames:v", "1", "-c:v", way.name, *way.options, "-f", "null", "-"]
    return [ffmpeg, *_QUIET, "-nostdin", *way.device, *source, *output]


def _filters(way: Way, rungs: Sequence[Rung]) -> str:
    names = "".join(f"[in{index}]" for index in range(len(rungs)))
    parts = [f"[0:v:0]split={len(rungs)}{names}"]
    # never larger than the source, and an even number of pixels each way
    parts += [
        f"[in{index}]scale=-2:'min({rung.height},trunc(ih/2)*2)',{way.last}[out{index}]"
        for index, rung in enumerate(rungs)
    ]
    return ";".join(parts)
