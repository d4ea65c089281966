"""Operations: what people do to a running system. Who may, and that it is written down, is the caller's business."""

from typing import TYPE_CHECKING

from marchproxy.kit.clock import Clock
from marchproxy.manager.operating.targets import Done, Pace, Target
from marchproxy.manager.watching import Observer
from marchproxy.model.revision import Author

if TYPE_CHECKING:
    from marchproxy.contract.fleet.explaining import Explanation, Question
    from marchproxy.manager.revising import Revisions
    from marchproxy.store import Store


class Operations:
    """Every operation raises NotDone when it is refused or nobody answers, and what Revisions raises where it makes one."""

    def __init__(self, live: Observer, revisions: "Revisions", store: "Store", *, clock: Clock) -> None:
        self._live, self._revisions, self._store, self._clock = live, revisions, store, clock

    async def run(self) -> None:
        """Follow the rollouts that were started here to their ends, until cancelled."""
        raise NotImplementedError

    async def set_weight(self, target: Target, version: str, percent: int, *, by: Author) -> Done:
        """Give a version its share for good: a revision. Refused while a rollout is under way there."""
        raise NotImplementedError

    async def promote(self, target: Target, version: str, pace: Pace, *, by: Author) -> Done:
        """Give a version everything: at once (a revision), or in watched steps, at the end of which there is a revision."""
        raise NotImplementedError

    async def rollback(self, target: Target, *, by: Author, version: str = "") -> Done:
        """End a rollout and go back to what is desired; with `version`: and give that one everything, as a revision."""
        raise NotImplementedError

    async def drain(self, instance: str, *, by: Author, timeout: float = 0.0) -> Done:
        """Send an instance nothing new until it is undrained, and wait `timeout` seconds at most for what it has."""
        raise NotImplementedError

    async def undrain(self, instance: str, *, by: Author) -> Done:
        """Send a drained instance traffic again."""
        raise NotImplementedError

    async def scale(self, module_type: str, count: int, *, by: Author) -> Done:
        """Ask for so many instances of a module type ("alb", "dblb"), within its bounds."""
        raise NotImplementedError

    async def rebalance(self, *, by: Author, force: bool = False) -> Done:
        """Have new connections favour the less loaded instances for a while; `force`: and close what others have too many."""
        raise NotImplementedError

    async def explain(self, question: "Question") -> "Explanation":
        """Where a request or a connection would go, and why."""
        raise NotImplementedError
