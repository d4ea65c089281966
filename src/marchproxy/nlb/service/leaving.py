"""Leaving: an instance goes out of the plan at once, and out of the registry when its connections have ended.

One way for every end: an operator's UnregisterModule, a module that stops, a replica that the autoscaler removes. Several
instances may leave at once; each has a deadline of its own.
"""

from dataclasses import dataclass

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import InstanceId
from marchproxy.nlb.service.core import Core
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.observer import Observer
from marchproxy.nlb.state.member import Member

_log = get_logger(__name__)
_POLL_SECONDS = 0.25
_FRESH_SECONDS = 0.1  # counts that are no older serve all instances that leave at the same time
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
    gauges: NlbGauges

    async def see_off(self, instance_id: InstanceId, registration_id: str, seconds: float) -> Departure:
        """Unregister, waiting at most `seconds` for open connections; a cancelled wait still removes it. Raises Refused."""
        member = self.core.begin_leaving(instance_id, registration_id)
        deadline = self.clock.monotonic() + seconds
        before = left = 0
        try:
            settled = await self.core.applier.settled(_SETTLE_SECONDS)
            before = left = await self._open(instance_id, max_age=0.0)
            while left and self._is_leaving(member) and self.clock.monotonic() < deadline:
                await self.clock.sleep(min(_POLL_SECONDS, max(0.0, deadline - self.clock.monotonic())))
                left = await self._open(instance_id, max_age=_FRESH_SECONDS)
                before = max(before, left)  # one that was on its way when the plan changed
        finally:
            self.core.forget(member)
            self.gauges.drained(ended=before - left, left=left)
            _log.info("module left", instance=instance_id, drained=before - left, still_open=left)
        return Departure(before - left, left, not settled)

    def _is_leaving(self, member: Member) -> bool:
        """Whether it still is that registration: a module that is back under the same name has connections of its own."""
        known = self.core.member(member.instance.instance_id)
        return known is not None and known.registration_id == member.registration_id

    async def _open(self, instance_id: InstanceId, *, max_age: float) -> int:
        counts = (await self.observer.counts(max_age=max_age)).of_instance(instance_id)
        return counts.active if counts else 0
