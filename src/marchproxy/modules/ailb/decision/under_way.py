"""Under way: the requests that were let pass and have not been reported, by their reservations and by Envoy's ids."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.asking import Allowed
from marchproxy.modules.ailb.choice import Chosen
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.ledger.who import Who
from marchproxy.modules.ailb.plan import ModelPlan, Target

_MOST_DIGITS = 20
#: Requests of which Envoy said that they had ended before they were asked about here, and for how long that is remembered.
_MOST_GONE, _GONE_SECONDS = 10_000, 60.0


class Now(NamedTuple):
    """The time: `wall` in nanoseconds since the epoch, UTC, by which limits go; `steady` in seconds, never set back."""

    wall: int
    steady: float


@dataclass(slots=True, eq=False)  # one is made for every request
class Passed:
    """A request that was let pass. `number`: its reservation; `waited`: seconds in the queue."""

    number: int
    request_id: str
    at: Now
    route: str
    operation: Operation
    model: ModelPlan
    who: Who
    stream: bool
    expected: Usage
    chosen: Chosen
    verdict: Allowed
    waited: float = 0.0
    body: bytes | None = field(default=None, repr=False)
    """In place of the client's."""

    def target(self, pool: str) -> Target | None:
        """Who answers in a pool; None: the request had no business there."""
        return next((target for target in self.model.targets if target.pool.name == pool), None)


class UnderWay:
    """At most `most`; the oldest is forgotten for another one (the ledger settles it at its reservation, sooner or later)."""

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._by_number: dict[int, Passed] = {}
        self._by_request: dict[str, Passed] = {}
        self._gone: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Passed]:
        return iter(self._by_number.values())

    def add(self, passed: Passed) -> None:
        """One more."""
        if len(self._by_number) >= self._most:
            self.take(next(iter(self._by_number)))
        self._by_number[passed.number] = passed
        if passed.request_id and passed.verdict.clusters:  # of one that was revived Envoy has its answer
            self._by_request[passed.request_id] = passed

    def asked_again(self, request_id: str) -> Passed | None:
        """The request of this id, which Envoy asks about once more because it did not get the answer."""
        return self._by_request.get(request_id)

    def note_gone(self, request_id: str, steady: float) -> None:
        """Envoy has ended this request; it may be among those that were not looked at yet."""
        self._gone[request_id] = steady
        while len(self._gone) > _MOST_GONE or steady - next(iter(self._gone.values())) > _GONE_SECONDS:
            self._gone.popitem(last=False)

    def has_gone(self, request_id: str) -> bool:
        """Whether nobody would hear what becomes of a request."""
        return request_id in self._gone

    def get(self, number: int) -> Passed | None:
        """The request of a reservation."""
        return self._by_number.get(number)

    def named(self, number: str) -> Passed | None:
        """As `get`, of a number that somebody has written."""
        is_number = number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS
        return self._by_number.get(int(number)) if is_number else None

    def take(self, number: int) -> Passed | None:
        """The request of a reservation, which is under way no more."""
        passed = self._by_number.pop(number, None)
        if passed is not None and self._by_request.get(passed.request_id) is passed:
            del self._by_request[passed.request_id]
        return passed
