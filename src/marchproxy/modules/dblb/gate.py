"""Gate: where limits and the firewall are asked, whatever the protocol. The fast path asks nothing that is not limited.

A session asks `enter` once, then, where its pass `looks`, of each request: `refuses` of one that comes as a whole (a query,
a command); of what is prepared once and run often `forbids` when it is prepared and `limits` when it is run. A statement is
the bytes of the SQL; of Redis the command's name, and after a blank its first key; of MongoDB the command's name, and after
a blank `database.collection`. What is refused is counted in the session's tally here, and in no other place.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Who
from marchproxy.modules.dblb.sql import Syntax
from marchproxy.modules.dblb.tally import Tally


class RefusalKind(Enum):
    """Why something is refused: BLOCKED by a rule, always; LIMITED for now."""

    BLOCKED = "blocked"
    LIMITED = "limited"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not carried out, in words for the client, which name the rule or the limit and when to ask again."""

    words: str
    kind: RefusalKind
    retry_after: float = 0.0
    """Seconds; 0: nobody knows, or never."""


class Shut(Exception):
    """A client is not let in; says why, in words for it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


class Pass(Protocol):
    """What one client may do."""

    @property
    def looks(self) -> bool:
        """Whether anything must be asked about; to be read for each request, for a new plan may change it."""
        ...

    def refuses(self, statement: bytes) -> Refusal | None:
        """Why a request is not carried out; None: it is, and is counted. What the firewall blocks is not counted."""
        ...

    def forbids(self, statement: bytes) -> Refusal | None:
        """What the firewall says; nothing is counted against a limit."""
        ...

    def limits(self) -> Refusal | None:
        """Count one request; why it is not carried out, or None."""
        ...

    def reads(self, syntax: Syntax) -> None:
        """From now on the session's server reads text so. What a statement sets by itself is noticed here; this is for what
        was set otherwise: by a startup packet, or by the server, which reports it."""
        ...

    def leave(self) -> None:
        """The client is gone. To be called once for each `enter`; twice does no harm."""
        ...


class Gate(Protocol):
    """Lets clients in. Services only `enter`; the rest is for the worker that has it."""

    def apply(self, plan: DblbPlan, instances: int) -> None:
        """Limit by this from now on, those who are in too; shared limits are divided among so many instances."""
        ...

    def sweep(self) -> None:
        """To be called about once a second."""
        ...

    def close(self) -> None:
        """Nobody is in any more. The gate must not be used any more."""
        ...

    def enter(self, route: RoutePlan, who: Who, tally: Tally) -> Pass:
        """A client who has shown who it is. Raises Shut, and then has counted that in `tally`."""
        ...


class _Open:
    """The pass of a client whom nothing limits."""

    looks = False

    def refuses(self, statement: bytes) -> Refusal | None:  # noqa: ARG002
        """Nothing."""
        return None

    def forbids(self, statement: bytes) -> Refusal | None:  # noqa: ARG002
        """Nothing."""
        return None

    def limits(self) -> Refusal | None:
        """Nothing."""
        return None

    def reads(self, syntax: Syntax) -> None:
        """Nobody reads."""

    def leave(self) -> None:
        """Nobody counts."""


class OpenGate:
    """Lets everybody in, and do everything."""

    def apply(self, plan: DblbPlan, instances: int) -> None:
        """Whatever it says."""

    def sweep(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""

    def enter(self, route: RoutePlan, who: Who, tally: Tally) -> Pass:  # noqa: ARG002
        """The same pass for everybody."""
        return OPEN


#: The pass of a client whom nothing limits; one for all.
OPEN = _Open()
