"""Load: what an instance has to do now, as far as it counts for whether it can take more. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.model.live_stream import StreamReport


@dataclass(frozen=True, slots=True)
class Load:
    """Keys of live streams, and players, by id of their route. Rates in kbit/s: `sent` to everybody together; `bandwidth` is
    the most that may be, 0: not known.
    """

    streams: Mapping[str, frozenset[str]] = field(default_factory=dict)
    players: Mapping[str, int] = field(default_factory=dict)
    sent: float = 0.0
    bandwidth: int = 0

    @property
    def free(self) -> int | None:
        """The bandwidth that is left; None: not known."""
        return max(0, self.bandwidth - round(self.sent)) if self.bandwidth else None


def load_of(streams: Sequence[StreamReport], bandwidth: int) -> Load:
    """The load that streams are; one is sent to its origin, to each player and viewer, and to where it is pushed."""
    keys: dict[str, set[str]] = {}
    players: dict[str, int] = {}
    for stream in streams:
        keys.setdefault(stream.route, set()).add(stream.key)
        players[stream.route] = players.get(stream.route, 0) + stream.players
    sent = sum(
        stream.bitrate * (bool(stream.origin) + stream.players + stream.viewers + len(stream.pushes))
        for stream in streams
    )
    return Load({route: frozenset(own) for route, own in keys.items()}, players, sent, bandwidth)
