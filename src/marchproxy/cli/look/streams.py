"""Live streams as a table for people. No I/O."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from rich.text import Text

from marchproxy.cli.screen import Sheet, columns
from marchproxy.contract.pb import module_pb2, types_pb2

_STATES = {"live": "green", "waiting": "yellow", "moving": "yellow"}


def streams(answers: Mapping[str, module_pb2.GetRoutesResponse]) -> Sheet:
    """What is published at each instance, as it saw it last; the most watched streams first."""
    rows = [row for instance, answer in sorted(answers.items()) for row in _rows(instance, answer)]
    heads = columns(
        "instance", "stream", "route", "state", "#since", "codecs", "picture", "#kbit/s", "#GOP s", "#players", "#viewers",
        "#ms", "#dropped", "origin", "more",
    )  # fmt: skip
    return Sheet("Streams", heads, rows, "nobody publishes")


def _rows(instance: str, answer: module_pb2.GetRoutesResponse) -> Iterator[tuple[str | Text, ...]]:
    for stream in answer.streams:
        yield (
            instance,
            stream.key.removeprefix("/"),
            stream.route_id,
            Text(stream.state, style=_STATES.get(stream.state, "")),
            str(timedelta(seconds=stream.age.seconds)),
            ", ".join(codec for codec in (stream.video_codec, stream.audio_codec) if codec),
            _picture(stream),
            f"{stream.bitrate_kbps:.0f}",
            f"{stream.gop_length.ToMilliseconds() / 1000:.1f}" if stream.HasField("gop_length") else "",
            str(stream.players),
            str(stream.viewers),
            f"{stream.latency.ToMicroseconds() / 1000:.1f}" if stream.HasField("latency") else "",
            Text(str(stream.dropped_messages), style="yellow" if stream.dropped_messages else ""),
            f"{stream.origin} ({stream.version})" if stream.origin else "here",
            "\n".join(_more(stream)),
        )
    if more := answer.total_streams - len(answer.streams):
        yield (instance, Text(f"and {more} more", style="dim"), *[""] * 13)


def _picture(stream: types_pb2.LiveStream) -> str:
    rate = f" {stream.frames_per_second:.0f}/s" if stream.frames_per_second else ""
    return f"{stream.width}x{stream.height}{rate}" if stream.width else rate.strip()


def _more(stream: types_pb2.LiveStream) -> Iterator[str]:
    if stream.packaged:
        yield f"packaged: {', '.join(stream.packaged)}"
    if stream.rehomed:
        yield f"moved {stream.rehomed} times"
    yield from (f"push {push}" for push in stream.pushes)
