"""Reception: what a session needs to know of users and servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from marchproxy.modules.dblb.redis.pool import Pool
    from marchproxy.modules.dblb.redis.session import Session


class Reception(Protocol):
    """Who knows users and servers."""

    gate: Callable[[Session, bytes], str] | None
    """Asked before each command when there is one: the words with which it is refused, or none."""

    def local(self, session: Session, words: Sequence[bytes]) -> bytes | None:
        """The answer to a command about the session itself; None: it is the server's."""
        ...

    def reads_replica(self, session: Session) -> bool:
        """Whether a read of this session may go to a replica now."""
        ...

    def pool(self, session: Session, *, replica: bool) -> Pool:
        """Where its commands go."""
        ...

    def wrote(self, session: Session) -> None:
        """It has sent a write; called only while replicas are read."""
        ...

    def left(self, session: Session) -> None:
        """The client is gone."""
        ...
