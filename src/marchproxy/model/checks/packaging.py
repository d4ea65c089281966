"""Checks of packaging: segments, playlists, and the rungs of a ladder."""

from collections.abc import Iterator, Sequence

from marchproxy.model.checks.http import check_origin
from marchproxy.model.problem import Problem
from marchproxy.model.rtmp import Packaging, Rung
from marchproxy.model.rules import check_duration, duplicates

_SHORTEST_SEGMENT, _LONGEST_SEGMENT = 0.5, 30.0
_FEWEST_SEGMENTS, _MOST_SEGMENTS = 3, 1000
_MOST_RUNGS = 8
_LOWEST, _HIGHEST = 144, 4320
_MOST_VIDEO = 200_000


def check_packaging(packaging: Packaging, path: str) -> Iterator[Problem]:
    """Faults of the packaging of a route's streams."""
    if not (packaging.hls or packaging.dash):
        yield Problem(path, "makes neither HLS nor DASH; leave it out, or ask for one of them")
    if not (packaging.passthrough or packaging.rungs):
        yield Problem(f"{path}.rungs", "nothing would be left to watch; name rungs, or leave passthrough on")
    if not _SHORTEST_SEGMENT <= packaging.segment <= _LONGEST_SEGMENT:
        yield Problem(
            f"{path}.segment",
            f"{packaging.segment:g} s is not between {_SHORTEST_SEGMENT:g} and {_LONGEST_SEGMENT:g}",
        )
    if not _FEWEST_SEGMENTS <= packaging.window <= _MOST_SEGMENTS:
        yield Problem(
            f"{path}.window",
            f"{packaging.window} is not between {_FEWEST_SEGMENTS} and {_MOST_SEGMENTS} segments",
        )
    yield from _check_rungs(packaging.rungs, f"{path}.rungs")
    yield from check_duration(packaging.linger, f"{path}.linger")
    if not packaging.origins:
        yield Problem(f"{path}.origins", 'names nobody; "*" is everybody')
    for number, origin in enumerate(packaging.origins):
        yield from check_origin(origin, f"{path}.origins[{number}]")


def _check_rungs(rungs: Sequence[Rung], path: str) -> Iterator[Problem]:
    if len(rungs) > _MOST_RUNGS:
        yield Problem(path, f"{len(rungs)} are more than {_MOST_RUNGS}")
    yield from duplicates(path, "height", rungs, lambda rung: rung.height)
    for number, rung in enumerate(rungs):
        where = f"{path}[{number}]"
        if not _LOWEST <= rung.height <= _HIGHEST or rung.height % 2:
            yield Problem(
                f"{where}.height",
                f"{rung.height} is not an even number of lines between {_LOWEST} and {_HIGHEST}",
            )
        if not 1 <= rung.video_rate <= _MOST_VIDEO:
            words = f"{rung.video_rate} is not between 1 and {_MOST_VIDEO} kbit/s"
            yield Problem(f"{where}.video_rate", words)
