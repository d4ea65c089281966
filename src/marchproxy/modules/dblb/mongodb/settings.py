"""Settings: how long and how large things may be. Those of a pool come from the plan."""

from dataclasses import dataclass

from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.wire.mongodb.framing import LARGEST


@dataclass(frozen=True, slots=True)
class MongoLimits:
    """Times in seconds. `orphan`: how long a cursor outlives the connection that used it last; `held`: bytes of messages
    that all clients together may have under way.
    """

    login: float = 15.0
    cursor: float = 600.0
    orphan: float = 30.0
    cursors: int = 100_000
    transactions: int = 100_000
    longest: int = LARGEST
    held: int = 256 * 1024 * 1024
    compressors: tuple[str, ...] = ("zlib",)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Times in seconds, 0 of `idle` and `lifetime`: for ever. `size`: connections to a server for each user."""

    size: int = 20
    wait: float = 10.0
    dial: float = 3.0
    idle: float = 600.0
    lifetime: float = 3600.0
    probe: float = 1.0
    lag: float = 10.0
    longest: int = LARGEST


def limits_of(upstream: Upstream, around: Surroundings) -> PoolLimits:
    """Those of a pool in this worker."""
    options = upstream.options
    return PoolLimits(
        size=around.share(options.size),
        wait=options.wait,
        idle=options.idle,
        lifetime=options.lifetime,
        probe=options.probe_interval,
        lag=options.max_lag,
    )
