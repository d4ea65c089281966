"""Fetches: whether the keys of tokens that Envoy fetches are still there to be had. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.model.http import Authentication
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.resources.connection_manager import STAT_PREFIX as LISTENER
from marchproxy.modules.http.resources.tokens import STAT_PREFIX as FILTER

_PREFIX = f"http.{LISTENER}.jwt_authn.{FILTER}.jwks_fetch_"


@dataclass(frozen=True, slots=True)
class KeyFetches:
    """What Envoy has counted, of all ways together, and whether the last fetches failed; `places`: who is asked."""

    places: tuple[str, ...] = ()
    failed: int = 0
    succeeded: int = 0
    failing: bool = False

    def of(self, ways: Iterable[Authentication]) -> "KeyFetches":
        """The same for these ways to authenticate."""
        places = tuple(sorted({f"{way.jwks_url} (pool {way.jwks_pool})" for way in ways if way.jwks_url}))
        return replace(self, places=places, failing=self.failing and bool(places))

    def step(self, stats: EnvoyStats) -> "KeyFetches":
        """After another look. Where neither failure nor success was added, all is as it was."""
        failed, succeeded = stats.counter(f"{_PREFIX}failed"), stats.counter(f"{_PREFIX}success")
        failing = self.failing
        if failed < self.failed or succeeded < self.succeeded:  # another Envoy
            failing = bool(failed)
        elif failed > self.failed:
            failing = True
        elif succeeded > self.succeeded:
            failing = False
        return replace(self, failed=failed, succeeded=succeeded, failing=failing and bool(self.places))

    def judge(self, health: EngineHealth) -> EngineHealth:
        """The health of what judges tokens by these keys: degraded while they cannot be fetched."""
        if not self.failing:
            return health
        whom = ", ".join(self.places)
        return health.but(
            "tokens", f"keys of tokens cannot be fetched: {whom}; the last that could still hold"
        )
