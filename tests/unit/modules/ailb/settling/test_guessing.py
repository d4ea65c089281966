"""Tokens of streams that nobody has counted, by their bytes."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.asking import Allowed
from marchproxy.modules.ailb.choice import Chosen
from marchproxy.modules.ailb.decision.under_way import Now, Passed
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.ledger.who import Who
from marchproxy.modules.ailb.plan import ModelPlan
from marchproxy.modules.ailb.settling.guessing import Guesses
from marchproxy.modules.ailb.settling.report import Ending, Report

CHAT = Passed(
    1, "r", Now(0, 0.0), "llm", Operation.CHAT, ModelPlan("m", ()), Who("k"), True, Usage(10, 100), Chosen((), 0, 0),
    Allowed((), ()),
)  # fmt: skip
MESSAGES = replace(CHAT, operation=Operation.MESSAGES)
WHOLE = Report(1, Ending.COMPLETE, "p", status=200, usage=Usage(9, 50), first_token=0.1, size=10_000)
CUT = Report(1, Ending.CLIENT_GONE, "p", status=200, first_token=0.1, size=3_000)


def guesses(*seen: tuple[Passed, Report]) -> Guesses:
    found = Guesses()
    for passed, report in seen:
        found.learn(passed, report)
    return found


@pytest.mark.parametrize(
    ("report", "charged"),
    [
        (CUT, (Usage(10, 15), False)),
        (replace(CUT, ending=Ending.BROKEN), (Usage(10, 15), False)),
        (replace(CUT, ending=Ending.COMPLETE, size=201), (Usage(10, 2), False)),
        (replace(CUT, size=1_000_000), (Usage(10, 100), False)),  # no more than was reserved
        (replace(CUT, size=0), (Usage(10, 0), False)),
        (replace(CUT, pool="another"), (None, False)),
        (replace(CUT, size=None), (None, False)),
        (replace(CUT, usage=Usage(9, 3)), (Usage(9, 3), True)),
        (replace(CUT, first_token=None), (Usage(), True)),
    ],
)
def test_what_was_cut_is_charged_by_its_bytes(report: Report, charged: tuple[Usage | None, bool]) -> None:
    assert guesses((CHAT, WHOLE)).charge(CHAT, report) == charged


@pytest.mark.parametrize(
    ("passed", "seen"),
    [
        (CHAT, []),
        (CHAT, [(replace(CHAT, model=ModelPlan("other", ())), WHOLE)]),
        (CHAT, [(MESSAGES, WHOLE)]),
        (CHAT, [(CHAT, replace(WHOLE, ending=Ending.CLIENT_GONE))]),
        (CHAT, [(CHAT, replace(WHOLE, usage=None))]),
        (CHAT, [(CHAT, replace(WHOLE, size=0))]),
        (CHAT, [(CHAT, replace(WHOLE, usage=Usage(9)))]),
        (replace(CHAT, stream=False), [(CHAT, WHOLE)]),
    ],
)
def test_what_is_of_another_kind_says_nothing(passed: Passed, seen: Iterable[tuple[Passed, Report]]) -> None:
    assert guesses(*seen).charge(passed, CUT) == (None, False)


def test_what_the_first_event_says_was_written_is_not_all_that_was() -> None:
    known = guesses((MESSAGES, WHOLE))
    assert known.charge(MESSAGES, replace(CUT, usage=Usage(9, 1))) == (Usage(9, 15), False)
    assert known.charge(MESSAGES, replace(CUT, usage=Usage(9, 12))) == (Usage(9, 12), True)


def test_what_is_seen_last_counts_more() -> None:
    known = guesses((CHAT, replace(WHOLE, usage=Usage(9, 20_000), size=4_000_000)))
    for _ in range(200):
        known.learn(CHAT, replace(WHOLE, usage=Usage(9, 1000), size=100_000))
    usage, _ = known.charge(CHAT, replace(CUT, size=1000))
    assert usage == Usage(10, 10)


def test_an_engine_that_lies_about_its_tokens_breaks_nothing() -> None:
    known = guesses((CHAT, replace(WHOLE, usage=Usage(9, 900_000_000), size=1)))
    assert known.charge(CHAT, CUT) == (Usage(10, 100), False)


def test_the_kinds_that_are_kept_are_bounded() -> None:
    known = guesses(*((replace(CHAT, model=ModelPlan(f"m{number}", ())), WHOLE) for number in range(1025)))
    first, last = (replace(CHAT, model=ModelPlan(f"m{number}", ())) for number in (0, 1024))
    assert known.charge(first, CUT) == (None, False)
    assert known.charge(last, CUT) == (Usage(10, 15), False)
