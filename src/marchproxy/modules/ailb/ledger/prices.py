"""Prices: what a usage costs, in whole micro-units of the currency. Pure.

Prices are given for a million tokens, so a price is also what one token costs in micro-units. It is kept as a whole number of
their millionths, and the cost of a request is rounded up once, to a whole micro-unit: sums of costs are exact, and no request
that costs something is free.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from marchproxy.model.ai import Price
from marchproxy.model.model_names import ModelPatterns
from marchproxy.model.usage import Usage

#: Micro-units in one unit of the currency.
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a token costs, in millionths of a micro-unit."""

    input: int = 0
    output: int = 0
    cached: int = 0

    def cost(self, usage: Usage) -> int:
        """The cost in micro-units, rounded up."""
        cached = min(usage.cached, usage.input)  # nobody is paid for asking
        parts = (usage.input - cached) * self.input + cached * self.cached + usage.output * self.output
        return -(-parts // MICRO)


#: Of models that have no price.
FREE = Tariff()


class PriceList:
    """The tariffs of models by their names and patterns of them."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._patterns = ModelPatterns(prices)
        self._tariffs = {pattern: _tariff(price) for pattern, price in prices.items()}

    def tariff(self, model: str) -> Tariff | None:
        """That of the longest pattern that means the model, as its provider knows it; None: nobody has said."""
        pattern = self._patterns.longest(model)
        return None if pattern is None else self._tariffs[pattern]


def micro(amount: float) -> int:
    """An amount of money as micro-units, to the nearest one."""
    return _scaled(amount)


def _tariff(price: Price) -> Tariff:
    cached = price.input if price.cached is None else price.cached
    return Tariff(_scaled(price.input), _scaled(price.output), _scaled(cached))


def _scaled(amount: float) -> int:
    # by the digits that people wrote: 0.15 is 150000, whatever the nearest float is
    return round(Decimal(repr(amount)) * MICRO)
