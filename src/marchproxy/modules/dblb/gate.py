"""Gate: where limits and the firewall are asked, whatever the protocol. The fast path asks nothing that is not limited."""

from typing import Protocol

from marchproxy.modules.dblb.plan import RoutePlan, Who


class Shut(Exception):
    """A client is not let in; says why, in words for it."""


class Pass(Protocol):
    """What one client may do."""

    @property
    def looks(self) -> bool:
        """Whether statements must be asked about. False: `refuses` would let everything pass."""
        ...

    def refuses(self, statement: bytes) -> str:
        """Why a statement (or a command, as the protocol has it) is not carried out; empty: it is. Counts it."""
        ...

    def leave(self) -> None:
        """The client is gone."""
        ...


class Gate(Protocol):
    """Lets clients in."""

    def enter(self, route: RoutePlan, who: Who) -> Pass:
        """A client who has shown who it is. Raises Shut."""
        ...


class _Open:
    """The pass of a client whom nothing limits."""

    looks = False

    def refuses(self, statement: bytes) -> str:  # noqa: ARG002
        """Nothing."""
        return ""

    def leave(self) -> None:
        """Nobody counts."""


class OpenGate:
    """Lets everybody in, and do everything."""

    def enter(self, route: RoutePlan, who: Who) -> Pass:  # noqa: ARG002
        """The same pass for everybody."""
        return _OPEN


_OPEN = _Open()
