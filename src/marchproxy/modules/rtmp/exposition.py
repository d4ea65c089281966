"""Exposition: what the workers of an instance count and see, as text that Prometheus reads. Bounded; no I/O.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Iterable, Iterator, Mapping

from marchproxy.engines.envoy.metrics.exposition import label_text
from marchproxy.model.live_stream import StreamReport, most_watched
from marchproxy.modules.rtmp.crew import Counted, Seen
from marchproxy.modules.rtmp.tally import Tally, TallyKey

_PREFIX = "marchproxy_rtmp_"
_MOST_STREAMS = 500
_MOST_REASONS = 40
_COUNTERS = {
    "publishes": "Streams that publishers began.",
    "plays": "Players that were let in.",
    "forbidden": "Requests for HLS and DASH that were answered 403.",
    "unserved": "Publishers and players that no origin took, or whose origin was lost for good.",
    "rehomed": "Connections that went on with another origin.",
    "handed_over": "Connections that went to the worker that has their stream.",
    "stalls": "Publishers that sent nothing for too long.",
    "keyless": "Times that publishers sent video without a keyframe for 30 seconds.",
    "dropped_messages": "Messages that were not sent to players that read too slowly.",
    "uncounted": "What was let pass because a limit could not be looked up.",
    "bytes_in": "Bytes of publishers' media.",
    "bytes_out": "Bytes of media to players and origins.",
}
_GAUGES = {"publishers": "Publishers that are connected.", "players": "Players that are connected."}
_REASONS = {
    "refused": "Publishers and players that were turned away, by reason.",
    "closed": "Connections that ended, by reason.",
}
_OF_STREAM = {
    "bitrate": ("bitrate_kbps", "Bitrate of the stream, in kbit/s."),
    "fps": ("frames_per_second", "Video frames of the stream in a second."),
    "gop": ("gop_seconds", "Seconds between keyframes."),
    "players": ("stream_players", "Players of the stream."),
    "viewers": ("stream_viewers", "Viewers of the stream by HLS and DASH."),
    "latency": ("stream_latency_seconds", "From a publisher's byte until it was sent on."),
    "dropped": ("stream_dropped_messages", "Messages that slow players of the stream did not get."),
}


def render(counted: Counted, seen: Seen) -> bytes:
    """The text in format 0.0.4."""
    lines = [*_of_tallies(counted.tallies), *_of_streams(seen.streams), *_of_origins(seen)]
    return ("\n".join(lines) + "\n").encode() if lines else b""


def _of_tallies(tallies: Mapping[TallyKey, Tally]) -> Iterator[str]:
    named = [(_labels(key), tally) for key, tally in tallies.items()]
    for name, text in _COUNTERS.items():
        values = ((labels, getattr(tally, name)) for labels, tally in named)
        yield from _family(f"{name}_total", "counter", text, values)
    for name, text in _GAUGES.items():
        yield from _family(name, "gauge", text, ((labels, getattr(tally, name)) for labels, tally in named))
    for name, text in _REASONS.items():
        values = (
            (f"{labels},{label_text((('reason', reason),))}", count)
            for labels, tally in named
            for reason, count in _kept(getattr(tally, name))
        )
        yield from _family(f"{name}_total", "counter", text, values)


def _kept(reasons: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    """The first so many; the rest together, so that counters only grow."""
    found = list(reasons.items())
    yield from found[:_MOST_REASONS]
    if rest := sum(count for _, count in found[_MOST_REASONS:]):
        yield "other", rest


def _of_streams(streams: Iterable[StreamReport]) -> Iterator[str]:
    watched = most_watched(streams, _MOST_STREAMS)
    named = [(label_text((("route", one.route), ("stream", one.key))), one) for one in watched]
    for field, (name, text) in _OF_STREAM.items():
        yield from _family(name, "gauge", text, ((labels, getattr(one, field)) for labels, one in named))


def _of_origins(seen: Seen) -> Iterator[str]:
    named = [(label_text((("pool", one.pool), ("origin", one.address))), one) for one in seen.origins]
    up = ((labels, int(not one.fault)) for labels, one in named)
    yield from _family("origin_up", "gauge", "1: the origin answered when it was last looked at.", up)
    streams = ((labels, one.streams) for labels, one in named)
    yield from _family("origin_streams", "gauge", "Streams that are sent to the origin.", streams)
    players = ((labels, one.players) for labels, one in named)
    yield from _family("origin_players", "gauge", "Players that the origin serves through us.", players)
    latencies = ((labels, one.latency) for labels, one in named if one.latency is not None)
    yield from _family("origin_latency_seconds", "gauge", "What the last handshake took.", latencies)


def _labels(key: TallyKey) -> str:
    return label_text((("route", key.route), ("pool", key.pool)))


def _family(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    lines = [f"{_PREFIX}{name}{{{labels}}} {value:.15g}" for labels, value in values]
    if lines:
        yield f"# HELP {_PREFIX}{name} {text}"
        yield f"# TYPE {_PREFIX}{name} {kind}"
        yield from lines
