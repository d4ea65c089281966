"""Handshakes: whether TLS with a pool's endpoints works, from what Envoy counts. Pure.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/listeners/stats#tls-statistics
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.modules.base.observation import counted_since
from marchproxy.modules.http.resources.clusters import cluster_name

_STATS = {
    "handshake": "completed",
    "fail_verify_error": "unsigned",
    "fail_verify_san": "misnamed",
    "connection_error": "broken",
}
_NAME = re.compile(rf"cluster\.{re.escape(cluster_name(''))}(?P<pool>.+)\.ssl\.(?P<stat>{'|'.join(_STATS)})")


@dataclass(frozen=True, slots=True)
class Handshakes:
    """TLS handshakes of one pool since the start: those completed, and those that failed, by reason."""

    completed: int = 0
    unsigned: int = 0
    misnamed: int = 0
    broken: int = 0

    def since(self, earlier: "Handshakes") -> "Handshakes":
        """Those after `earlier`."""
        return Handshakes(
            counted_since(self.completed, earlier.completed),
            counted_since(self.unsigned, earlier.unsigned),
            counted_since(self.misnamed, earlier.misnamed),
            counted_since(self.broken, earlier.broken),
        )


def handshakes(stats: EnvoyStats) -> dict[str, Handshakes]:
    """The handshakes of every pool with TLS, by its name."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for name, value in stats.values.items():
        if ".ssl." in name and (found := _NAME.fullmatch(name)):
            counts[found["pool"]][_STATS[found["stat"]]] = value
    return {pool: Handshakes(**count) for pool, count in counts.items()}


@dataclass(frozen=True, slots=True)
class TlsTrouble:
    """What is wrong, in words. It is `lasting` where no handshake was completed beside those that failed."""

    words: str
    lasting: bool = True


def troubles(
    before: Mapping[str, Handshakes], now: Mapping[str, Handshakes], known: Mapping[str, TlsTrouble]
) -> dict[str, TlsTrouble]:
    """What is wrong with the TLS of each pool. A lasting trouble goes on until a handshake shows otherwise.

    One that is not may be over already: which of the handshakes was the last, counts do not tell.
    """
    found = {}
    for pool, count in now.items():
        recent, last = count.since(before.get(pool, Handshakes())), known.get(pool)
        if words := _words(recent):
            found[pool] = TlsTrouble(words, lasting=not recent.completed)
        elif last is not None and last.lasting and not recent.completed:
            found[pool] = last
    return found


def _words(recent: Handshakes) -> str:
    if recent.unsigned:
        return "TLS: an endpoint's certificate is not signed by those in `ca`, or has expired"
    if recent.misnamed:
        return "TLS: an endpoint's certificate does not bear the name that is verified"
    if recent.broken:
        return "TLS: an endpoint refuses the handshake, or does not speak TLS"
    return ""
