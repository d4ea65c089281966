"""Reconciler: parts that run another document than the one in force are given it."""

from collections.abc import Awaitable, Callable

from marchproxy.contract.document import checksum as checksum_of
from marchproxy.contract.fleet.client import CallFailed
from marchproxy.contract.fleet.takers import Offer, Taker
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.manager.revising.fleet import Fleet, Sight
from marchproxy.manager.revising.outcome import Current

_log = get_logger(__name__)
#: Seconds until a part that would not take it is asked again.
_AGAIN_SECONDS = 30.0
#: Seconds until one that does not answer is asked again.
_SILENT_SECONDS = 3.0
#: Seconds until a part that took it is looked at again: its NLB hears of it with the next heartbeat.
_HEARD_SECONDS = 15.0
_NOTHING = checksum_of(b"{}")

#: What a document says anew of weights, for a part that runs the one of that checksum; None: nobody knows.
Restated = Callable[[str], Awaitable[tuple[str, ...] | None]]


class Reconciler:
    """Looks at one part after the other, and leaves those alone that it has just dealt with."""

    def __init__(self, fleet: Fleet, *, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._not_before: dict[str, float] = {}

    def behind(self, sight: Sight, current: Current) -> tuple[Taker, ...]:
        """Those who last reported another document, and are due."""
        now = self._clock.monotonic()
        self._not_before = {name: due for name, due in self._not_before.items() if due > now}
        return tuple(
            taker for taker in sight.takers if not runs(taker, current) and taker.name not in self._not_before
        )

    async def bring(self, taker: Taker, current: Current, restated: Restated) -> None:
        """Give one of them the document, unless it has it by now."""
        try:
            taker = await self._fleet.runs(taker)
        except CallFailed as error:
            self._put_off(taker, _SILENT_SECONDS)
            _log.warning("a part that is behind does not answer", part=taker.name, reason=str(error))
            return
        if runs(taker, current):
            self._put_off(taker, _HEARD_SECONDS)
            return
        offer = Offer(current.data, current.head.checksum, await restated(taker.checksum))
        refusals = await self._fleet.reload([taker]).put_back(offer, [taker])
        if refusals:
            silent = all(refusal.silent for refusal in refusals)
            self._put_off(taker, _SILENT_SECONDS if silent else _AGAIN_SECONDS)
            _log.error(
                "a part does not take what is in force",
                part=taker.name,
                revision=current.head.number,
                reasons=[reason for refusal in refusals for reason in refusal.reasons],
            )
            return
        _log.info("a part was brought to what is in force", part=taker.name, revision=current.head.number)
        self._put_off(taker, _HEARD_SECONDS)

    def _put_off(self, taker: Taker, seconds: float) -> None:
        self._not_before[taker.name] = self._clock.monotonic() + seconds


def runs(taker: Taker, current: Current) -> bool:
    """Whether a part last reported the document in force. An NLB reports an empty one as none."""
    if taker.checksum == current.head.checksum:
        return True
    return taker.is_nlb and not taker.checksum and current.head.checksum == _NOTHING
