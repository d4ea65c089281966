"""Origins: what a worker knows of the origins of all pools, and its checks of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import every
from marchproxy.model.pool import HealthCheck
from marchproxy.modules.rtmp.balancing import health
from marchproxy.modules.rtmp.balancing.choice import Use
from marchproxy.modules.rtmp.balancing.dialling import probe
from marchproxy.modules.rtmp.balancing.health import Health
from marchproxy.modules.rtmp.plan import RtmpPlan, Upstream
from marchproxy.modules.rtmp.service import CHECK_SECONDS, OriginReport, Surroundings
from marchproxy.wire.fault import ProtocolFault

_log = get_logger(__name__)
_JITTER: Final = 0.1


@dataclass(slots=True)
class Origin:
    """One endpoint of one pool. What it has now is for whoever uses it to count."""

    upstream: Upstream
    address: str
    health: Health = field(default_factory=Health)
    streams: int = 0
    players: int = 0
    bitrate: float = 0.0
    begun: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def check(self) -> HealthCheck:
        """How it is checked, whether its pool says so or not."""
        pool = self.upstream.pool
        return pool.health_check or HealthCheck(timeout=max(1.0, pool.connect_timeout))

    def report(self) -> OriginReport:
        """As it was last seen."""
        return OriginReport(
            str(self.upstream.name),
            self.address,
            self.health.fault,
            self.health.latency,
            self.streams,
            self.players,
            round(self.bitrate, 1),
        )


class Origins:
    """Each is checked at its pool's pace, in a task of its own."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._known: dict[tuple[str, str], Origin] = {}

    def apply(self, plan: RtmpPlan) -> None:
        """Know these, and no others. One whose pool is checked otherwise than before is checked anew."""
        wanted = {
            (str(name), endpoint.address): upstream
            for name, upstream in plan.upstreams.items()
            for endpoint in upstream.pool.endpoints
        }
        for key in self._known.keys() - wanted.keys():
            _cancel(self._known.pop(key))
        for key, upstream in wanted.items():
            origin = self._known.get(key)
            if origin is None:
                origin = self._known[key] = Origin(upstream, key[1])
            elif (
                origin.check == replace(origin, upstream=upstream).check
                and origin.upstream.pool.tls == upstream.pool.tls
            ):
                origin.upstream = upstream
                continue
            _cancel(origin)
            origin.upstream = upstream
            origin.task = self._around.group.create_task(self._watch(origin))

    def of(self, upstream: Upstream, address: str) -> Origin:
        """An origin; of one that is gone from its pool, something to count on that nobody reads."""
        return self._known.get((str(upstream.name), address)) or Origin(upstream, address)

    def uses(self, upstream: Upstream) -> Mapping[str, Use]:
        """What counts for the choice, of each origin of a pool by address."""
        found = (self.of(upstream, endpoint.address) for endpoint in upstream.pool.endpoints)
        return {one.address: Use(one.health.fault, one.streams, one.bitrate, one.begun) for one in found}

    def failed(self, upstream: Upstream, address: str, words: str) -> None:
        """A connection there failed, or was lost."""
        origin = self.of(upstream, address)
        now = self._around.clock.monotonic()
        outliers = upstream.pool.outliers
        if outliers is not None:
            out = sum(self.of(upstream, one.address).health.until > now for one in upstream.pool.endpoints)
            if (out + 1) * 100 > outliers.max_ejected_percent * len(upstream.pool.endpoints) and out:
                outliers = None
        origin.health = health.failed(origin.health, words, outliers, now)

    def served(self, upstream: Upstream, address: str) -> None:
        """An origin took a client."""
        origin = self.of(upstream, address)
        origin.health = health.served(origin.health)
        origin.begun += 1

    def clear(self) -> None:
        """Forget what is counted on each, to count anew."""
        for origin in self._known.values():
            origin.streams = origin.players = 0
            origin.bitrate = 0.0

    def reports(self) -> Sequence[OriginReport]:
        """All as they were last seen."""
        return tuple(origin.report() for origin in self._known.values())

    async def check(self) -> Sequence[OriginReport]:
        """All, asked now."""
        async with asyncio.TaskGroup() as group:
            for origin in self._known.values():
                group.create_task(self._check(origin, min(origin.check.timeout, CHECK_SECONDS)))
        return self.reports()

    def close(self) -> None:
        """Check nobody any more."""
        for origin in self._known.values():
            _cancel(origin)

    async def _watch(self, origin: Origin) -> None:
        async def check() -> None:
            await self._check(origin, origin.check.timeout)

        await every(
            origin.check.interval,
            check,
            clock=self._around.clock,
            name=f"check of {origin.address}",
            jitter=_JITTER,
        )

    async def _check(self, origin: Origin, within: float) -> None:
        clock = self._around.clock
        try:
            latency = await probe(origin.upstream, origin.address, within=within, clock=clock)
        except (OSError, TimeoutError, ProtocolFault) as error:
            words = str(error) or f"no answer within {within:g} s"
            if not origin.health.fault:
                _log.warning("origin does not answer", origin=origin.address, reason=words)
            origin.health = health.missed(origin.health, words, origin.check)
            return
        was = origin.health.fault
        origin.health = health.answered(origin.health, latency, origin.check, clock.monotonic())
        if was and not origin.health.fault:
            _log.info("origin answers again", origin=origin.address)


def _cancel(origin: Origin) -> None:
    if origin.task is not None:
        origin.task.cancel()
        origin.task = None
