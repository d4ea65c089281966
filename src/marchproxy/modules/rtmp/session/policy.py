"""Policy: whether a client may do what it wishes. What the station of a worker knows of it."""

from typing import Protocol

from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.session.hall import Denied
from marchproxy.modules.rtmp.session.roles import Wish


class Pass(Protocol):
    """What a client was let in with."""

    def leave(self) -> None:
        """The client has gone, or could not be served after all. A second time does no harm."""
        ...


class Policy(Protocol):
    """Of one worker."""

    def apply(self, plan: RtmpPlan) -> None:
        """Go by this plan. Raises OSError, and then goes by the one before."""
        ...

    async def admit(self, wish: Wish, route: RoutePlan, key: StreamKey, arrival: Arrival) -> Pass | Denied:
        """A pass for the client, or why it may not. Takes as long as the ways to authenticate may take. `key`: as
        `route.known_as` says."""
        ...

    def sweep(self) -> None:
        """About once a second."""
        ...

    def close(self) -> None:
        """Nobody is let in any more."""
        ...
