import pytest

from marchproxy.engines.envoy.renewal import Renewal, fail, look


@pytest.mark.parametrize(
    ("wanted", "due"),
    [
        (["old"], [False]),
        (["new"], [False]),  # it may still be being written
        (["new", "new"], [False, True]),
        (["half", "new", "new"], [False, False, True]),
        (["new", "old", "new"], [False, False, False]),
    ],
)
def test_two_looks_that_agree(wanted, due):
    known, seen = Renewal(), []
    for fingerprint in wanted:
        known, now = look(known, running="old", wanted=fingerprint)
        seen.append(now)
    assert seen == due


def test_what_failed_is_not_tried_again_until_it_is_another():
    known = fail(Renewal(seen="bad"), "bad", "exit code 3")
    assert known.trouble == "the hot restart failed, and the Envoy before it serves on: exit code 3"
    for _ in range(3):
        known, due = look(known, running="old", wanted="bad")
        assert not due
    assert known.trouble
    known, due = look(known, running="old", wanted="better")
    known, due = look(known, running="old", wanted="better")
    assert due


def test_the_trouble_is_over_when_what_runs_is_what_is_wanted():
    known, due = look(fail(Renewal(), "bad", "x"), running="old", wanted="old")
    assert (known, due) == (Renewal(seen="old"), False)
