"""The ledger: what every request may use, what it used, and where that is written down."""

from marchproxy.modules.ailb.ledger.ledger import Counts, Ledger, LedgerLimits
from marchproxy.modules.ailb.ledger.prices import FREE, MICRO, PriceList, Tariff
from marchproxy.modules.ailb.ledger.refusal import Measure, Refusal
from marchproxy.modules.ailb.ledger.reservation import Reservation, Settled
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.ledger.who import Who

__all__ = [
    "FREE",
    "MICRO",
    "Counts",
    "Ledger",
    "LedgerLimits",
    "Measure",
    "PriceList",
    "Refusal",
    "Reservation",
    "Settled",
    "Tariff",
    "Totals",
    "Who",
]
