"""Checks of routes of streams: which they take, who may publish and play, and what becomes of them."""

from collections.abc import Iterator

from marchproxy.model.checks.packaging import check_packaging
from marchproxy.model.checks.patterns import check_patterns
from marchproxy.model.checks.protocols import check_no_requests
from marchproxy.model.checks.pushing import check_pushes
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rtmp import Duplicate, RtmpRoute, StreamLimits
from marchproxy.model.rules import check_count, check_duration, check_wait

_INSTEAD = {
    "authentication": "rtmp.publish and rtmp.play name ways to authenticate",
    "mirrors": "rtmp.push sends copies of streams",
    "database": "no stream is a database",
}
_LARGEST_CACHE = 256 * 1024 * 1024
_SMALLEST_QUEUE, _LARGEST_QUEUE = 64 * 1024, 256 * 1024 * 1024


def check_no_streams(route: Route, path: str) -> Iterator[Problem]:
    """Faults of a route of another protocol that has what only those of streams have."""
    if route.rtmp is not None:
        yield Problem(f"{path}.rtmp", f"is for rtmp, not for {route.protocol.value}; set protocol")


def check_stream_route(route: Route, path: str) -> Iterator[Problem]:
    """Faults of a route of a streaming protocol; that its ways to authenticate are there is `check_authentication`'s to say."""
    if route.protocol is not Protocol.RTMP:
        yield Problem(
            f"{path}.protocol",
            f"write rtmp: such a route takes its streams by {route.protocol.value} as well",
        )
        return
    if route.module_type not in {None, ModuleType.RTMP}:
        yield Problem(f"{path}.module", f"streams are for rtmp, not for {route.module_type.value}; remove it")
    yield from check_no_requests(route, path)
    for key, instead in _INSTEAD.items():
        if getattr(route, key):
            yield Problem(f"{path}.{key}", f"means nothing for streams: {instead}; remove it")
    if route.rtmp is not None:
        yield from _check_options(route.rtmp, f"{path}.rtmp")


def _check_options(options: RtmpRoute, path: str) -> Iterator[Problem]:
    for key in ("vhosts", "apps", "streams"):
        yield from check_patterns(getattr(options, key), f"{path}.{key}")
    yield from _check_parts(options, path)
    if options.duplicate is Duplicate.TAKEOVER and not options.publish:
        yield Problem(
            f"{path}.duplicate",
            "anybody could take a stream over; name ways to authenticate in publish, or write refuse",
        )
    yield from check_pushes(options.push, f"{path}.push")
    yield from _check_limits(options.limits, f"{path}.limits")
    yield from check_wait(options.stall, f"{path}.stall")
    yield from check_duration(options.grace, f"{path}.grace")
    yield from check_count(options.gop_cache, f"{path}.gop_cache", most=_LARGEST_CACHE)
    if not _SMALLEST_QUEUE <= options.queue <= _LARGEST_QUEUE:
        yield Problem(
            f"{path}.queue", f"{options.queue} is not between {_SMALLEST_QUEUE} and {_LARGEST_QUEUE} bytes"
        )
    if options.packaging is not None:
        yield from check_packaging(options.packaging, f"{path}.packaging")


def _check_parts(options: RtmpRoute, path: str) -> Iterator[Problem]:
    """Patterns that could match nothing: keys have hosts in lower case, and one segment as the stream's name."""
    for number, pattern in enumerate(options.vhosts):
        if pattern != pattern.lower():
            yield Problem(f"{path}.vhosts[{number}]", f'write it in lower case: "{pattern.lower()}"')
    for key in ("vhosts", "streams"):
        for number, pattern in enumerate(getattr(options, key)):
            if "/" in pattern:
                yield Problem(
                    f"{path}.{key}[{number}]",
                    f'"{pattern}": what stands before a / is the app; name it in apps',
                )


def _check_limits(limits: StreamLimits, path: str) -> Iterator[Problem]:
    for key in ("streams", "players", "players_per_stream", "bitrate"):
        yield from check_count(getattr(limits, key), f"{path}.{key}")
