"""Viewing: whether somebody may watch a stream by HLS or DASH; asked for each file of it."""

from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.modules.rtmp.policy.callbacks import Callbacks
from marchproxy.modules.rtmp.policy.checking import check
from marchproxy.modules.rtmp.policy.claim import Claim
from marchproxy.modules.rtmp.policy.remembering import Remembering
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.session.roles import Action


class Viewing:
    """Of one process. A viewer is whoever may play the stream."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._answers = Remembering(Callbacks(around.instance).ask, group=around.group, clock=around.clock)

    async def admit(self, route: RoutePlan, key: StreamKey, query: str, arrival: Arrival) -> str:
        """Why not, in words; empty: they may. A Gate; `key` has the host that was named."""
        if not route.play:
            return "" if not route.options.play else "nobody here can check who may"
        claim = Claim(Action.PLAY, key, query, arrival.client.host, "http")
        now = self._around.clock.now().timestamp()
        refusal = await check(route.play, claim, self._answers.ask, now=now)
        if refusal is None:
            return ""
        self._around.tallies.of(str(route.route_id)).forbidden += 1
        return refusal.words
