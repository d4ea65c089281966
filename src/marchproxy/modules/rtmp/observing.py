"""Observing: what workers counted and saw, as the rest of a module knows such things. No I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from marchproxy.model.live_stream import most_watched
from marchproxy.model.series import Point
from marchproxy.modules.base.observation import EndpointSeen, Observation, PoolSeen, Traffic
from marchproxy.modules.rtmp.crew import Counted, Seen
from marchproxy.modules.rtmp.reports import pool_trouble
from marchproxy.modules.rtmp.service import OriginReport
from marchproxy.modules.rtmp.tally import Tally, TallyKey

_MOST_STREAMS = 200  # with points of their own
_SUMS = ("publishes", "plays", "unserved", "rehomed", "handed_over", "stalls", "keyless", "dropped_messages")
_OF_STREAM = ("bitrate", "fps", "gop", "players", "viewers", "latency", "dropped")


def observe(counted: Counted, seen: Seen) -> Observation:
    """What there is now. A request is a publisher or a player; a failure, one that no origin took or that lost its origin."""
    pools = _traffic(counted, lambda key: key.pool)
    names = {*pools, *(origin.pool for origin in seen.origins)} - {""}
    return Observation(
        traffic=_together(counted.tallies.values()),
        active_connections=counted.clients,
        total_connections=counted.accepted,
        routes={name: traffic for name, traffic in _traffic(counted, lambda key: key.route).items() if name},
        pools={
            name: _pool_seen(pools.get(name, Traffic()), [one for one in seen.origins if one.pool == name])
            for name in sorted(names)
        },
        points=(*_points(counted, seen), *_stream_points(seen)),
        streams=seen.streams,
        cpu_percent=counted.cpu_percent,
        memory_mb=counted.memory_mb,
    )


def _traffic(counted: Counted, name_of: Callable[[TallyKey], str]) -> Mapping[str, Traffic]:
    parts: dict[str, list[Tally]] = {}
    for key, tally in counted.tallies.items():
        parts.setdefault(name_of(key), []).append(tally)
    return {name: _together(found) for name, found in parts.items()}


def _together(tallies: Iterable[Tally]) -> Traffic:
    found = list(tallies)
    refused = sum(tally.refused.total() for tally in found)
    return Traffic(
        requests=sum(tally.publishes + tally.plays for tally in found) + refused,
        failures=sum(tally.unserved for tally in found) + refused,
        bytes_received=sum(tally.bytes_in for tally in found),
        bytes_sent=sum(tally.bytes_out for tally in found),
        rejected=refused,
    )


def _pool_seen(traffic: Traffic, origins: Sequence[OriginReport]) -> PoolSeen:
    endpoints = tuple(
        EndpointSeen(origin.address, not origin.fault, origin.streams + origin.players) for origin in origins
    )
    return PoolSeen(traffic, endpoints, pool_trouble(origins))


def _points(counted: Counted, seen: Seen) -> Iterable[Point]:
    tallies = counted.tallies.values()
    for name in _SUMS:
        yield Point(f"{name}_total", sum(getattr(tally, name) for tally in tallies))
    for name in ("refused", "closed"):
        yield Point(f"{name}_total", sum(getattr(tally, name).total() for tally in tallies))
    for name in ("publishers", "players"):
        yield Point(name, sum(getattr(tally, name) for tally in tallies))
    yield Point("streams", len(seen.streams))
    yield Point("bitrate", sum(stream.bitrate for stream in seen.streams))


def _stream_points(seen: Seen) -> Iterable[Point]:
    """Of the streams that most people watch."""
    for stream in most_watched(seen.streams, _MOST_STREAMS):
        for name in _OF_STREAM:
            yield Point(f"stream_{name}", getattr(stream, name), (("stream", stream.key),))
