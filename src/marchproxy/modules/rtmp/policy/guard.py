"""Guard: the policy of a worker. A client is counted, then it has to show that it may, then it takes its place."""

import time
from collections.abc import Callable

from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.reception.limits.bucket import Nanoseconds
from marchproxy.modules.reception.limits.table import LimitTable
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.policy.callbacks import Callbacks
from marchproxy.modules.rtmp.policy.checking import check
from marchproxy.modules.rtmp.policy.claim import Claim
from marchproxy.modules.rtmp.policy.limits import Limits, Place
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.session.hall import Denied
from marchproxy.modules.rtmp.session.roles import Action, Wish
from marchproxy.wire.rtmp.answers import Code

_TABLE = "limits"
_CODES = {Action.PUBLISH: Code.PUBLISH_DENIED, Action.PLAY: Code.PLAY_FAILED}


class Guard:
    """A Policy. `is_there`: whether a stream is live in this worker, or waits for its publisher to return."""

    def __init__(
        self,
        around: Surroundings,
        is_there: Callable[[StreamKey], bool],
        *,
        now: Nanoseconds = time.monotonic_ns,
    ) -> None:
        self._around = around
        self._limits = Limits(around.tallies, is_there, table=self._table, now=now)
        self._callbacks = Callbacks(around.instance)

    def apply(self, plan: RtmpPlan) -> None:
        """As a Policy's."""
        self._limits.apply(plan, self._around.instances)

    async def admit(self, wish: Wish, route: RoutePlan, key: StreamKey, arrival: Arrival) -> Place | Denied:
        """As a Policy's."""
        code, client = _CODES[wish.action], arrival.client.host
        if (exceeded := self._limits.come(route, client)) is not None:
            return Denied("limit", code, exceeded.words)
        publishes = wish.action is Action.PUBLISH
        ways = route.publish if publishes else route.play
        if not ways and (route.options.publish if publishes else route.options.play):
            return Denied("denied", code, "nobody here can check who may")
        protocol = "rtmps" if arrival.secure else "rtmp"
        claim = Claim(wish.action, wish.key, wish.query, client, protocol)
        now = self._around.clock.now().timestamp()
        if (refusal := await check(ways, claim, self._callbacks.ask, now=now)) is not None:
            return Denied(refusal.reason, code, refusal.words)
        place = self._limits.enter(route, key, wish.action, client)
        return place if isinstance(place, Place) else Denied("limit", code, place.words)

    def sweep(self) -> None:
        """As a Policy's."""
        self._limits.sweep()

    def close(self) -> None:
        """As a Policy's."""
        self._limits.close()
        self._around.group.create_task(self._callbacks.close())

    def _table(self) -> LimitTable:
        return LimitTable(self._around.folder / _TABLE, alone=self._around.workers == 1)
