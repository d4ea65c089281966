"""Roles: what a session wants of those around it, and what it begins with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pinning import Residue
from marchproxy.modules.dblb.postgres.settling import Settings

if TYPE_CHECKING:
    from marchproxy.modules.dblb.postgres.session import Session


class Waiter(Protocol):
    """A client that wants a link."""

    def got(self, link: Link) -> None:
        """Here it is."""
        ...

    def got_none(self, reason: str) -> None:
        """There will be none."""
        ...


class Source(Protocol):
    """Where links come from: a pool, as a rule."""

    @property
    def reported(self) -> Mapping[str, str]:
        """What its servers report of a session that has set nothing; empty: there was none yet."""
        ...

    def at_once(self) -> Link | None:
        """A link that is free, unless somebody waits for it."""
        ...

    def acquire(self, waiter: Waiter) -> Link | None:
        """A link at once, or later by `waiter.got`, unless `waiter.got_none` comes before."""
        ...

    def give_up(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        ...


#: What a text may leave in a server's session.
Read: TypeAlias = Callable[[bytes], Residue | None]


class Porter(Protocol):
    """Who sees clients off."""

    def abandoned(self, link: Link) -> None:
        """A server does something that nobody waits for any more."""
        ...

    def left(self, session: "Session") -> None:
        """The client is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a session begins with: settings that follow it, and those that servers do not report; times in seconds."""

    settings: Settings
    extras: Mapping[str, str] = field(default_factory=dict)
    longest: int = 64 * 1024 * 1024
    """The most bytes of a message that is kept whole."""
