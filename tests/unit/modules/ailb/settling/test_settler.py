"""Each request is settled once, at what it used."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import Allowance
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.asking import Allowed
from marchproxy.modules.ailb.choice import Chosen
from marchproxy.modules.ailb.decision.under_way import Now, Passed, UnderWay
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.ledger.ledger import Ledger, LedgerLimits
from marchproxy.modules.ailb.ledger.refusal import Refusal
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.ledger.who import Who
from marchproxy.modules.ailb.plan import ModelPlan
from marchproxy.modules.ailb.settling.charge import charge
from marchproxy.modules.ailb.settling.entries import Told
from marchproxy.modules.ailb.settling.report import Ending, Report
from marchproxy.modules.ailb.settling.settler import Settler
from marchproxy.modules.ailb.tally import Tallies

NOW = Now(1_800_000_000_000_000_000, 1000.0)
EXPECTED = Usage(10, 100)
#: The first reservation of this decider; one of another before it, and one that is known to be settled.
FIRST, BEFORE, SETTLED = 1000, 7, 8
WHO = Who("k", "u", "t")


def later(seconds):
    return Now(NOW.wall + seconds * 1_000_000_000, NOW.steady + seconds)


def passed_by(number, *, stream=True, clusters=("relay.a", "relay.b")):
    return Passed(
        number, f"r{number}", NOW, "llm", Operation.CHAT, ModelPlan("m", ()), WHO, stream, EXPECTED, Chosen((), 0, 0), Allowed(clusters, ())
    )  # fmt: skip


class Rig:
    def __init__(self):
        self.ledger = Ledger(FIRST, Totals(), LedgerLimits(report_within=60))
        self.ledger.configure([Allowance("a", "key:k", concurrent=1)], NOW.wall)
        self.under_way = UnderWay()
        self.tallies = Tallies()
        self.notes, self.lines, self.known, self.refusals = [], [], {}, []
        self.settler = Settler(
            self.under_way, self.ledger, self.tallies, self, first=FIRST, settled=[SETTLED]
        )

    def noted(self, passed, report, now):
        self.notes.append((passed.number, report.ending))

    def refused(self, report, now):
        self.refusals.append((report.pool, report.status))

    def written(self, outcome, now):
        self.lines.append((outcome.report.ending, outcome.settled.usage))

    def revived(self, told, now):
        number = told.report.number
        if told.fields.get("x-ai-who") != "somebody":
            return None
        self.ledger.adopt(number, now.wall, WHO, "m", EXPECTED)
        return passed_by(number, clusters=())

    def envoy(self, report, now=NOW, *, relayed, is_over=True, **fields):
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        self.settler.envoy_says(Told(report, relayed, named, is_over), now)

    def let_pass(self, now=NOW):
        number = self.ledger.reserve(now.wall, WHO, "m", EXPECTED).number
        self.under_way.add(passed_by(number))
        return number

    @property
    def is_full(self):
        """Whether the key may not send another request now."""
        found = self.ledger.reserve(NOW.wall, WHO, "m", EXPECTED)
        if isinstance(found, Refusal):
            return True
        self.ledger.settle(found.number, Usage(), NOW.wall)
        return False

    @property
    def tally(self):
        (tally,) = self.tallies.kept.values()
        return tally


@pytest.fixture
def rig():
    return Rig()


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        (Report(1, Ending.COMPLETE, status=200, usage=Usage(9, 8), events=7), Usage(9, 8)),
        (Report(1, Ending.COMPLETE, status=200, events=7), Usage(10, 7)),
        (Report(1, Ending.COMPLETE, status=200), None),
        (Report(1, Ending.CLIENT_GONE, status=200, events=3), Usage(10, 3)),
        (Report(1, Ending.CLIENT_GONE, status=200, events=3, usage=Usage(9, 2)), Usage(9, 2)),
        (Report(1, Ending.CLIENT_GONE, status=200, events=0), Usage()),
        (Report(1, Ending.CLIENT_GONE), Usage()),
        (Report(1, Ending.CLIENT_GONE, status=200, first_token=0.1), None),
        (Report(1, Ending.BROKEN, status=200, events=3), Usage(10, 3)),
        (Report(1, Ending.BROKEN, status=200, first_token=0.1), None),
        (Report(1, Ending.REFUSED, status=429), Usage()),
        (Report(1, Ending.UNREACHED), Usage()),
        (Report(1, Ending.COMPLETE, status=400), Usage()),
        (Report(1, Ending.OWN, status=200), Usage()),
    ],
)
def test_what_is_charged(report, usage):
    assert charge(passed_by(1), report) == usage


def test_tokens_that_cost_nothing_because_nobody_said_what_they_cost_are_counted(rig):
    rig.settler.relay_says(Report(rig.let_pass(), Ending.COMPLETE, status=200, usage=Usage(9, 8)), NOW)
    assert (rig.tally.unpriced_tokens, rig.tally.cost) == (17, 0)


def test_pieces_of_what_is_no_stream_are_no_tokens():
    assert charge(passed_by(1, stream=False), Report(1, Ending.COMPLETE, events=1)) is None


def test_what_a_relay_says_counts_whoever_is_first(rig):
    relay, envoy = Report(1, Ending.COMPLETE, "a", events=5), Report(1, Ending.COMPLETE, "a", status=200)
    for first in (True, False):
        number = rig.let_pass()
        if first:
            rig.settler.relay_says(Report(number, *_rest(relay)), NOW)
        rig.envoy(Report(number, *_rest(envoy)), relayed=True)
        if not first:
            rig.settler.relay_says(Report(number, *_rest(relay)), NOW)
        rig.settler.sweep(later(10))
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 5))] * 2
    assert rig.ledger.under_way == len(rig.under_way) == 0
    assert rig.ledger.counts.settled == 2
    assert rig.tally.endings == {"complete": 2}
    assert rig.tally.output_tokens == 10


def test_envoy_has_the_last_word_when_the_relay_says_nothing(rig):
    number = rig.let_pass()
    rig.envoy(Report(number, Ending.UNREACHED, "a", status=503), relayed=True)
    rig.settler.sweep(later(4))
    assert rig.lines == []
    rig.settler.sweep(later(5))
    assert rig.lines == [(Ending.UNREACHED, Usage())]


def test_an_attempt_that_nobody_saw_settles_nothing(rig):
    number = rig.let_pass()
    rig.settler.relay_says(Report(number, Ending.UNREACHED, "a"), NOW)
    assert rig.lines == []
    rig.settler.relay_says(Report(number, Ending.COMPLETE, "b", status=200, events=2), NOW)
    assert rig.notes == [(number, Ending.COMPLETE)]
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 2))]


def test_that_a_credential_was_refused_is_known_although_somebody_else_answers(rig):
    number = rig.let_pass()
    rig.settler.relay_says(Report(number, Ending.REFUSED, "a", status=401), NOW)
    rig.settler.relay_says(Report(number, Ending.COMPLETE, "b", status=200, events=2, attempts=2), NOW)
    rig.envoy(Report(number, Ending.COMPLETE, "b", status=200, attempts=2), relayed=True)
    assert rig.refusals == [("a", 401)]
    assert {key.pool: dict(tally.credential) for key, tally in rig.tallies.kept.items()} == {
        "a": {"401": 1},
        "b": {},
    }


@pytest.mark.parametrize(("relayed", "refusals"), [(False, [("a", 403)]), (True, [])])
def test_who_asked_the_provider_says_that_a_credential_was_refused(rig, relayed, refusals):
    rig.envoy(Report(rig.let_pass(), Ending.REFUSED, "a", status=403), relayed=relayed)
    assert rig.refusals == refusals


def test_what_is_told_late_of_an_earlier_attempt_settles_nothing(rig):
    number = rig.let_pass()
    rig.envoy(Report(number, Ending.COMPLETE, "b", status=200, attempts=2), relayed=True)
    rig.settler.relay_says(Report(number, Ending.UNREACHED, "a"), NOW)
    assert rig.lines == []
    rig.settler.relay_says(Report(number, Ending.COMPLETE, "b", events=3, attempts=2), NOW)
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 3))]


def test_what_the_last_attempt_says_settles_it_though_nobody_saw_it(rig):
    number = rig.let_pass()
    rig.envoy(Report(number, Ending.UNREACHED, "b", status=503, attempts=2), relayed=True)
    rig.settler.relay_says(Report(number, Ending.UNREACHED, "b", attempts=2), NOW)
    assert rig.lines == [(Ending.UNREACHED, Usage())]


def test_without_a_relay_envoys_word_is_enough(rig):
    number = rig.let_pass()
    for _ in range(2):
        rig.envoy(
            Report(number, Ending.COMPLETE, "a", usage=Usage(1, 2), first_token=0.1, duration=1.0),
            relayed=False,
        )
    assert rig.lines == [(Ending.COMPLETE, Usage(1, 2))]
    assert rig.tally.first_token.total == 0.1
    assert rig.tally.duration.total == 1.0


def test_what_nobody_reports_is_settled_at_its_reservation(rig):
    rig.let_pass()
    rig.settler.sweep(later(59))
    assert rig.lines == []
    rig.settler.sweep(later(60))
    assert rig.lines == [(Ending.UNREPORTED, EXPECTED)]
    assert rig.tally.uncounted == 1
    assert len(rig.under_way) == 0


def test_a_report_of_nobody_is_late(rig):
    rig.settler.relay_says(Report(FIRST + 99, Ending.COMPLETE), NOW)
    rig.envoy(Report(FIRST + 99, Ending.COMPLETE), relayed=False)
    assert rig.ledger.counts.late == 1
    assert rig.lines == []


@pytest.mark.parametrize("relay_is_first", [True, False])
def test_what_a_decider_before_has_let_pass_is_settled_by_who_knows_of_it(rig, relay_is_first):
    relay = Report(BEFORE, Ending.COMPLETE, "a", events=5, fields={"x-ai-who": "somebody"})
    if relay_is_first:
        rig.settler.relay_says(relay, NOW)
    rig.envoy(Report(BEFORE, Ending.COMPLETE, "a", status=200), relayed=True, x_ai_who="somebody")
    if not relay_is_first:
        rig.settler.relay_says(relay, NOW)
    rig.envoy(Report(BEFORE, Ending.COMPLETE, "a", status=200), relayed=True, x_ai_who="somebody")
    rig.settler.sweep(later(100))
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 5))]
    assert rig.ledger.under_way == len(rig.under_way) == 0


def test_what_goes_on_at_a_relay_has_its_seat_and_is_settled_when_it_ends(rig):
    going = Report(BEFORE, Ending.GOING, "a", fields={"x-ai-who": "somebody"})
    assert not rig.is_full
    assert rig.settler.relay_says(going, NOW)
    assert rig.settler.relay_says(going, later(50))
    assert rig.is_full
    rig.settler.sweep(later(100))
    assert rig.lines == []
    rig.settler.relay_says(Report(BEFORE, Ending.COMPLETE, "a", events=5), later(100))
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 5))]
    assert not rig.is_full
    assert not rig.settler.relay_says(going, later(101))


def test_a_relay_may_say_everything_twice(rig):
    relay = Report(BEFORE, Ending.COMPLETE, "a", events=5, fields={"x-ai-who": "somebody"})
    assert rig.settler.relay_says(relay, NOW)
    assert not rig.settler.relay_says(relay, NOW)
    assert not rig.settler.relay_says(replace(relay, number=SETTLED), NOW)
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 5))]
    assert rig.ledger.counts.late == 2


def test_what_was_settled_before_is_not_settled_again(rig):
    rig.settler.relay_says(Report(SETTLED, Ending.COMPLETE, "a", events=5), NOW)
    rig.envoy(Report(SETTLED, Ending.COMPLETE), relayed=False, x_ai_who="somebody")
    assert rig.lines == []
    assert rig.ledger.counts.late == 1


def test_what_nobody_knows_any_more_is_late(rig):
    assert not rig.settler.relay_says(Report(BEFORE, Ending.COMPLETE, "a", events=5), NOW)
    rig.envoy(Report(BEFORE, Ending.COMPLETE), relayed=False, x_ai_who="nonsense")
    assert rig.ledger.counts.late == 1
    assert rig.lines == []


HUNG_UP = Report(0, Ending.CLIENT_GONE, "a", status=200, events=3)


def test_who_was_hung_up_on_does_not_know_whether_somebody_else_is_asked(rig):
    number = rig.let_pass()
    rig.settler.relay_says(replace(HUNG_UP, number=number), NOW)
    assert rig.lines == []
    rig.settler.relay_says(Report(number, Ending.COMPLETE, "b", events=9, attempts=2), later(1))
    rig.envoy(Report(number, Ending.COMPLETE, "b", attempts=2), later(1), relayed=True)
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 9))]
    assert len(rig.notes) == 1


def test_nobody_else_was_asked_as_envoy_says(rig):
    number = rig.let_pass()
    rig.settler.relay_says(replace(HUNG_UP, number=number), NOW)
    rig.envoy(Report(number, Ending.CLIENT_GONE, "a", status=200), relayed=True)
    assert rig.lines == [(Ending.CLIENT_GONE, Usage(10, 3))]
    assert rig.notes == [(number, Ending.CLIENT_GONE)]


def test_nobody_else_can_be_asked_after_the_last_one(rig):
    number = rig.let_pass()
    rig.settler.relay_says(replace(HUNG_UP, number=number, attempts=2), NOW)
    assert rig.lines == [(Ending.CLIENT_GONE, Usage(10, 3))]


def test_what_a_relay_said_is_enough_when_envoy_says_nothing_more(rig):
    number = rig.let_pass()
    rig.settler.relay_says(replace(HUNG_UP, number=number), NOW)
    for at in (60, 120, 180):
        rig.envoy(Report(number, Ending.COMPLETE, "a"), later(at), relayed=True, is_over=False)
        rig.settler.sweep(later(at))
    assert rig.lines == []
    rig.ledger.touch(number, later(230).wall)  # the ledger would lose it sooner here
    rig.settler.sweep(later(254))
    assert rig.lines == []
    rig.settler.sweep(later(255))
    assert rig.lines == [(Ending.CLIENT_GONE, Usage(10, 3))]


def test_what_a_relay_said_is_forgotten_when_somebody_else_is_asked(rig):
    number = rig.let_pass()
    rig.settler.relay_says(replace(HUNG_UP, number=number), NOW)
    for at in range(50, 300, 50):
        rig.envoy(Report(number, Ending.COMPLETE, "b", attempts=2), later(at), relayed=True, is_over=False)
        rig.settler.sweep(later(at))
    assert rig.lines == []
    rig.settler.sweep(later(320))
    assert rig.lines == [(Ending.UNREPORTED, EXPECTED)]


def test_a_seat_is_free_as_soon_as_anybody_knows_that_a_request_is_over(rig):
    number = rig.let_pass()
    assert rig.is_full
    rig.envoy(Report(number, Ending.COMPLETE, "a"), relayed=True)
    assert not rig.is_full
    assert rig.notes == [(number, Ending.COMPLETE)]
    other = rig.let_pass()
    rig.settler.relay_says(Report(number, Ending.COMPLETE, "a", events=5), NOW)
    assert rig.is_full  # the seat is given back once
    rig.envoy(Report(other, Ending.COMPLETE), relayed=False)
    assert not rig.is_full
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 5)), (Ending.COMPLETE, EXPECTED)]
    assert len(rig.notes) == 2


def test_what_goes_on_is_not_lost_and_is_taken_up_by_a_decider_that_did_not_know_it(rig):
    for number in (rig.let_pass(), BEFORE):
        for at in (50, 100, 150):
            told = Report(number, Ending.COMPLETE, "a")
            rig.envoy(told, later(at), relayed=True, is_over=False, x_ai_who="somebody")
            rig.settler.sweep(later(at))
    assert rig.lines == rig.notes == []
    assert rig.ledger.under_way == len(rig.under_way) == 2
    rig.settler.relay_says(replace(HUNG_UP, number=BEFORE), later(150))  # who knows how many could be asked
    assert rig.lines == []
    rig.settler.relay_says(Report(BEFORE, Ending.COMPLETE, events=7), later(150))
    rig.settler.sweep(later(210))
    assert rig.lines == [(Ending.COMPLETE, Usage(10, 7)), (Ending.UNREPORTED, EXPECTED)]
    assert not rig.is_full


def test_a_client_that_did_not_wait_for_the_decision_leaves_nothing_taken(rig):
    number = rig.let_pass()
    rig.settler.nobody_waits("other", NOW)
    assert rig.is_full
    rig.settler.nobody_waits(f"r{number}", NOW)
    assert not rig.is_full
    assert rig.lines == [(Ending.CLIENT_GONE, Usage())]
    assert rig.under_way.has_gone("other")
    assert not rig.under_way.has_gone(f"r{number}")
    rig.settler.nobody_waits("much later", later(61))
    assert not rig.under_way.has_gone("other")


def test_at_the_end_nothing_waits_for_a_relay(rig):
    number = rig.let_pass()
    rig.envoy(Report(number, Ending.CLIENT_GONE, "a", status=200), relayed=True)
    rig.settler.close(NOW)
    assert rig.lines == [(Ending.CLIENT_GONE, Usage())]


def _rest(report):
    return report.ending, report.pool, report.host, report.status, report.usage, report.events
