"""Tally: what happened to streams, by route and pool."""

from collections import Counter
from dataclasses import dataclass, field


class Tally:
    """The counts of a route's streams at one pool. Whoever serves them adds to them as it goes; they only grow, but for gauges."""

    __slots__ = (
        "bytes_in", "bytes_out", "closed", "dropped_messages", "forbidden", "handed_over", "keyless", "players", "plays",
        "publishers", "publishes", "refused", "rehomed", "stalls", "uncounted", "unserved",
    )  # fmt: skip

    def __init__(self) -> None:
        self.publishers = 0  # now
        self.players = 0  # now
        self.publishes = 0
        self.plays = 0
        self.refused: Counter[str] = Counter()
        """Publishers and players that were turned away, by reason: `denied`, `limit`, `busy`, `no_stream`, `no_route` …"""
        self.closed: Counter[str] = Counter()
        """Connections that ended, by reason: `client`, `stalled`, `bitrate`, `slow`, `protocol:…`, `origin`, `drain` …"""
        self.forbidden = 0
        """Requests for HLS and DASH of who may not watch."""
        self.unserved = 0
        """Publishers and players that no origin took, or whose origin was lost and no other took them."""
        self.rehomed = 0
        """Connections that went on with another origin."""
        self.handed_over = 0
        """Connections that went to the worker that has their stream."""
        self.stalls = 0
        self.keyless = 0
        """Times that no keyframe came for long."""
        self.dropped_messages = 0
        """Of players that read slowly; whole GOPs of them."""
        self.uncounted = 0
        """What was let pass because a limit could not be looked up."""
        self.bytes_in = 0
        self.bytes_out = 0


@dataclass(frozen=True, slots=True)
class TallyKey:
    """What a tally is for; an empty pool: the route is the origin itself; both empty: before a route was known."""

    route: str = ""
    pool: str = ""


@dataclass(slots=True)
class Tallies:
    """All tallies of a worker; there are as many as routes and pools."""

    kept: dict[TallyKey, Tally] = field(default_factory=dict)

    def of(self, route: str, pool: str = "") -> Tally:
        """The tally, which is kept for good."""
        key = TallyKey(route, pool)
        found = self.kept.get(key)
        if found is None:
            found = self.kept[key] = Tally()
        return found
