"""Reception: who lets clients in and sees them off, as their sessions know it."""

from typing import TYPE_CHECKING, Protocol

from marchproxy.modules.dblb.mysql.kill import Kill

if TYPE_CHECKING:
    from marchproxy.modules.dblb.mysql.session import Session


class Reception(Protocol):
    """Who lets clients in, and sees them off."""

    def change_user(self, session: "Session", payload: bytes) -> None:
        """The client wants to be another user; its inbox is open again."""
        ...

    def kill(self, session: "Session", kill: Kill) -> None:
        """The client wants to stop a session; it is occupied until it is told what came of that."""
        ...

    def settle(self, session: "Session", *, asking: bool) -> bool:
        """Whether an unsettled session may go on now; otherwise it is ended, or woken if it is `asking`."""
        ...

    def left(self, session: "Session") -> None:
        """The client is gone."""
        ...
