"""What a ledger before this one has granted, and this one takes up."""

from marchproxy.model.ai import Allowance
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.prices import Tariff
from marchproxy.modules.ailb.ledger.refusal import Measure
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.ledger.who import Who

NOW = 1_800_000_000_000_000_000
WHO, EXPECTED = Who("k", "u", "t"), Usage(100, 100)
DEAR = Tariff(1_000_000, 1_000_000)


def ledger(**limits):
    made = Ledger(1000, Totals())
    made.configure([Allowance("a", "key:k", **limits)], NOW)
    return made


def test_it_counts_and_is_settled_like_any_other():
    one = ledger(concurrent=1, budget_day=0.001)
    one.adopt(7, NOW, WHO, "m", EXPECTED, DEAR)
    assert one.under_way == 1
    assert one.reserve(NOW, WHO, "m", Usage(), DEAR).measure is Measure.CONCURRENT
    assert one.settle(7, Usage(10, 10), NOW).cost == 20
    assert one.settle(7, Usage(10, 10), NOW) is None
    assert one.reserve(NOW, WHO, "m", Usage(981), DEAR).left == 980


def test_it_is_taken_up_although_there_is_not_enough():
    one = ledger(tokens_per_minute=60)
    one.adopt(7, NOW, WHO, "m", EXPECTED)
    assert one.reserve(NOW, WHO, "m", Usage(1)).retry_after > 60
    one.settle(7, Usage(30, 30), NOW)
    assert one.reserve(NOW, WHO, "m", Usage(1)).retry_after <= 1
