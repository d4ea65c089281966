"""Leaving: an instance goes out of the plan at once, and out of the registry when its connections have ended."""

from dataclasses import dataclass

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import InstanceId
from marchproxy.nlb.service.core import Core
from marchproxy.nlb.service.observer import Observer

_log = get_logger(__name__)
_POLL_SECONDS = 0.25
_SETTLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Departure:
    """How an instance left: connections that ended in time, and that were still open; `in_plan`: still forwarded to."""

    drained: int
    left: int
    in_plan: bool


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Sees instances off."""

    core: Core
    observer: Observer
    clock: Clock

    async def see_off(self, instance_id: InstanceId, registration_id: str, seconds: float) -> Departure:
        """Unregister, waiting at most `seconds` for open connections; a cancelled wait still removes it. Raises Refused."""
        member = self.core.begin_leaving(instance_id, registration_id)
        deadline = self.clock.monotonic() + seconds
        try:
            settled = await self.core.applier.settled(_SETTLE_SECONDS)
            before = await self._open(instance_id)
            left = before
            while left and self.clock.monotonic() < deadline:
                await self.clock.sleep(_POLL_SECONDS)
                left = await self._open(instance_id)
        finally:
            self.core.forget(member)
        _log.info("module left", instance=instance_id, drained=before - left, still_open=left)
        return Departure(max(0, before - left), left, not settled)

    async def _open(self, instance_id: InstanceId) -> int:
        counts = (await self.observer.counts(max_age=0.0)).of_instance(instance_id)
        return counts.active if counts else 0
