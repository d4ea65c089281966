"""Hall: a kind of place where streams are: here, or at origins. What the station of a worker knows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from marchproxy.model.live_stream import StreamReport
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.service import OriginReport
from marchproxy.modules.rtmp.session.roles import Role, Wish
from marchproxy.wire.rtmp.answers import Code


@dataclass(frozen=True, slots=True)
class Denied:
    """A wish is not granted. `reason` is what it is counted under; `code` and `description` are what the client is told."""

    reason: str
    code: Code
    description: str


class Hall(Protocol):
    """All streams of one kind in a worker."""

    def apply(self, plan: RtmpPlan) -> None:
        """Go by this plan; see StreamService."""
        ...

    def admit(self, wish: Wish, route: RoutePlan, key: StreamKey) -> Role | Denied:
        """Who serves such a client, whom policy lets in; `key`: as `route.known_as` says. The role begins at once, or never."""
        ...

    def has(self, key: StreamKey) -> bool:
        """Whether the stream is here, live or waiting for its publisher."""
        ...

    def sweep(self) -> None:
        """About once a second."""
        ...

    def streams(self) -> Sequence[StreamReport]:
        """Those that are here."""
        ...

    def origins(self) -> Sequence[OriginReport]:
        """As they were last seen; a hall that is the origin itself has none."""
        ...

    async def check(self) -> Sequence[OriginReport]:
        """Asked now; within 3 seconds."""
        ...

    def drain(self) -> None:
        """Tell clients to go elsewhere, where they can be told."""
        ...

    def close(self) -> None:
        """End everything now."""
        ...
