"""Pools as one instance sees them. Pure: messages in, values out; what is as it was is not translated again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from marchproxy.contract.convert import HEALTH
from marchproxy.contract.pb import types_pb2
from marchproxy.manager.watching.view import EndpointView, PoolView
from marchproxy.model.module import HealthStatus

HEALTH_OF: Mapping[int, HealthStatus] = {HEALTH.to_pb(member): member for member in HealthStatus}
_SOUND = (None, HealthStatus.HEALTHY)


@dataclass(frozen=True, slots=True)
class PoolsSeen:
    """Pools by name, without what they serve. `notable`: those of which there is more to say than where they are.

    `raw` is each pool's message, to tell whether it is new.
    """

    pools: Mapping[str, PoolView] = field(default_factory=dict)
    notable: frozenset[str] = frozenset()
    raw: Mapping[str, bytes] = field(default_factory=dict)


class Library:
    """Pools by their messages: a hundred instances tell the same of a thousand pools, and one value of each is enough."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._known: dict[bytes, tuple[bytes, PoolView]] = {}

    def look_up(self, pool: types_pb2.BackendPool) -> tuple[bytes, PoolView]:
        """The message, and what it says."""
        raw = pool.SerializeToString(deterministic=True)
        known = self._known.get(raw)
        if known is None:
            if len(self._known) >= self._most:
                self._known.clear()
            known = self._known[raw] = (raw, _pool(pool))
        return known


def read_pools(before: PoolsSeen, pools: Iterable[types_pb2.BackendPool], library: Library) -> PoolsSeen:
    """What an instance tells; `before` itself where that is the same."""
    raw: dict[str, bytes] = {}
    views: dict[str, PoolView] = {}
    for pool in pools:
        message, view = library.look_up(pool)
        raw[view.name], views[view.name] = message, view
    if raw == before.raw:
        return before
    return PoolsSeen(views, frozenset(name for name, view in views.items() if _is_notable(view)), raw)


def _pool(pool: types_pb2.BackendPool) -> PoolView:
    return PoolView(
        pool.name,
        pool.version or "v1",
        endpoints=(
            *(_endpoint(one, found=False) for one in pool.endpoints),
            *(_endpoint(one, found=True) for one in pool.found),
        ),
        trouble=pool.trouble,
    )


def _endpoint(pb: types_pb2.BackendEndpoint, *, found: bool) -> EndpointView:
    return EndpointView(
        pb.address, HEALTH_OF.get(pb.health_status), pb.active_requests, pb.weight or 1, found
    )


def _is_notable(view: PoolView) -> bool:
    return bool(view.trouble) or any(
        one.found or one.active_requests or one.health not in _SOUND for one in view.endpoints
    )
