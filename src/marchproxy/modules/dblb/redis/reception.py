"""Reception: what a session needs to know of users and servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from marchproxy.modules.dblb.gate import Pass
    from marchproxy.modules.dblb.plan import RoutePlan
    from marchproxy.modules.dblb.redis.pool import Pool
    from marchproxy.modules.dblb.redis.servers import Servers
    from marchproxy.modules.dblb.redis.session import Session
    from marchproxy.modules.dblb.redis.sharing import Sharing
    from marchproxy.modules.dblb.tally import Tally


@dataclass(slots=True)
class Visit:
    """What the plan makes of a client."""

    route: RoutePlan
    servers: Servers
    permit: Pass
    tally: Tally
    splits: bool
    """Whether reads may go to replicas."""
    only_reads: bool
    own: bool
    """Whether the client has a connection for itself as long as it is there."""

    @property
    def plain(self) -> bool:
        """Whether nothing must be known of a command but that it is a read or a write."""
        return not (self.permit.looks or self.splits or self.only_reads or self.own)


class Reception(Protocol):
    """Who knows users and servers."""

    now: Callable[[], float]
    """Seconds of a monotonic clock."""

    def arrived(self, session: Session) -> None:
        """It is connected."""
        ...

    def local(self, session: Session, words: Sequence[bytes]) -> bytes | None:
        """The answer to a command about the session itself; None: it is the server's; nothing: the client was let go."""
        ...

    def pool(self, session: Sharing, *, replica: bool) -> Pool | None:
        """Where its commands go; None: there is no such server now."""
        ...

    def wait(self, session: Sharing) -> None:
        """Its servers are paused: it is told when it may go on, or that it waited for too long."""
        ...

    def left(self, session: Session) -> None:
        """The client is gone."""
        ...
