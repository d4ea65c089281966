"""What a usage costs, to the millionth of a unit."""

import pytest

from marchproxy.model.ai import Price
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.prices import PriceList, micro

PRICES = PriceList(
    {
        "gpt-4o": Price(2.5, 10.0, 1.25),
        "gpt-4*": Price(30.0, 60.0),
        "tiny": Price(0.15, 0.6, 0.0),
        "dust": Price(0.000001, 0.0),
        "*": Price(1.0, 1.0),
    }
)


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        ("gpt-4o", Usage(1_000_000), 2_500_000),
        ("gpt-4o", Usage(1000, 100, 400), 1500 + 500 + 1000),
        ("gpt-4-turbo", Usage(10, 10, 5), 900),  # no price of its own for what was cached: as the rest
        ("tiny", Usage(1), 1),  # 0.15 of a micro-unit: rounded up, once
        ("tiny", Usage(3, 1), 2),
        ("tiny", Usage(7, 0, 7), 0),
        ("dust", Usage(1_000_001), 2),
        ("other", Usage(2, 3), 5),
        ("other", Usage(), 0),
        ("gpt-4o", Usage(1000, 0, 9_000), 1250),  # who says that more was cached than read is not believed
    ],
)
def test_cost(model, usage, cost):
    assert PRICES.tariff(model).cost(usage) == cost


def test_a_model_that_nobody_has_priced():
    assert PriceList({"a*": Price(1.0)}).tariff("b") is None


@pytest.mark.parametrize(
    ("amount", "units"), [(0.1, 100_000), (0.3, 300_000), (1e-6, 1), (12345.678901, 12345678901)]
)
def test_money_is_by_the_digits_that_were_written(amount, units):
    assert micro(amount) == units


def test_a_sum_does_not_drift():
    tariff = PRICES.tariff("tiny")
    assert sum(tariff.cost(Usage(20)) for _ in range(100_000)) == 300_000
