"""Policy: whether a client may do what it wishes. What the station of a worker knows of it."""

from typing import Protocol

from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.session.hall import Denied
from marchproxy.modules.rtmp.session.roles import Action, Wish
from marchproxy.wire.rtmp.answers import Code


class Policy(Protocol):
    """Of one worker."""

    def apply(self, plan: RtmpPlan) -> None:
        """Go by this plan."""
        ...

    async def admit(self, wish: Wish, route: RoutePlan, key: StreamKey, arrival: Arrival) -> Denied | None:
        """Why the client may not; None: it may. Decides within 10 seconds. `key`: as `route.known_as` says."""
        ...

    def sweep(self) -> None:
        """About once a second."""
        ...


class OpenPolicy:
    """A Policy that can check nobody: it lets in where nobody is to be checked."""

    def apply(self, plan: RtmpPlan) -> None:
        """As a Policy's."""

    async def admit(
        self,
        wish: Wish,
        route: RoutePlan,
        key: StreamKey,  # noqa: ARG002 - as a Policy's
        arrival: Arrival,  # noqa: ARG002 - as a Policy's
    ) -> Denied | None:
        """As a Policy's."""
        publishes = wish.action is Action.PUBLISH
        if not (route.publish if publishes else route.play):
            return None
        code = Code.PUBLISH_DENIED if publishes else Code.PLAY_FAILED
        return Denied("denied", code, "nobody here can check who may")

    def sweep(self) -> None:
        """As a Policy's."""
