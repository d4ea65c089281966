"""Reservations, and what becomes of them. Values."""

from collections.abc import Sequence
from dataclasses import dataclass

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.plan import Plan
from marchproxy.modules.ailb.ledger.prices import Tariff
from marchproxy.modules.ailb.ledger.tokens import Portion
from marchproxy.modules.ailb.ledger.who import Who


@dataclass(slots=True, eq=False)  # one is made for every request: a frozen one takes three times as long
class Reservation:
    """What was taken for a request. `number` is what a report names it by; `at` in nanoseconds since the epoch, UTC: when it was
    made, or heard of last.

    `cost` in micro-units. `plan` and `portions` are the ledger's own. `is_seated`: it still counts as one of the requests at once.
    """

    number: int
    at: int
    who: Who
    model: str
    expected: Usage
    tariff: Tariff
    cost: int
    plan: Plan
    portions: Sequence[Portion]
    is_seated: bool = True


@dataclass(slots=True, eq=False)
class Settled:
    """What a request used in the end; it counts for the day of `at`. `cost` in micro-units; not `is_counted`: it is a guess, or
    what had been reserved."""

    reservation: Reservation
    usage: Usage
    cost: int
    at: int
    is_counted: bool
