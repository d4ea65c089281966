"""Who fails is left alone: after how many failures, and for how long."""

import pytest

from marchproxy.modules.ailb.choice.cooldown import Cooldown, Judgement, judge


@pytest.mark.parametrize(
    ("status", "judgement"),
    [
        (0, Judgement.FAILED),
        (200, Judgement.SERVED),
        (206, Judgement.SERVED),
        (400, Judgement.SERVED),  # the client's fault
        (401, Judgement.REFUSED),
        (403, Judgement.REFUSED),
        (404, Judgement.SERVED),
        (408, Judgement.FAILED),
        (422, Judgement.SERVED),
        (429, Judgement.FAILED),
        (500, Judgement.FAILED),
        (503, Judgement.FAILED),
        (529, Judgement.FAILED),
    ],
)
def test_an_answers_status_says_how_its_sender_is(status, judgement):
    assert judge(status) is judgement


@pytest.mark.parametrize(
    ("results", "paused"),
    [
        ("----", False),  # too few to tell
        ("-----", True),
        ("++++-----", True),
        ("+++++-----", False),  # half of them is not more than half
        ("+++++------", True),
        ("+-+-+-+-", False),
    ],
)
def test_more_than_half_of_at_least_five_failed(results, paused):
    cooldown = Cooldown()
    for result in results:
        if result == "+":
            cooldown.served(1.0)
        else:
            cooldown.failed(1.0)
    assert bool(cooldown.until) is paused


def test_what_failed_a_minute_ago_does_not_count():
    cooldown = Cooldown()
    for _ in range(4):
        assert not cooldown.failed(1.0)
    assert not cooldown.failed(62.0)


def test_pauses_grow_to_a_minute_while_nothing_is_served():
    cooldown, now, pauses = Cooldown(), 100.0, []
    for _ in range(6):
        assert cooldown.pause(now)
        assert not cooldown.pause(now)  # it is left alone already
        pauses.append(cooldown.until - now)
        now = cooldown.until
        cooldown.end(now - 0.01)
        assert cooldown.until
        cooldown.end(now)
        assert not cooldown.until
    assert pauses == [5, 10, 20, 40, 60, 60]
    cooldown.served(now)
    cooldown.pause(now)
    assert cooldown.until - now == 5


def test_a_late_answer_from_before_the_pause_does_not_shorten_the_next():
    cooldown = Cooldown()
    cooldown.pause(100.0)
    cooldown.served(101.0)
    cooldown.end(105.0)
    cooldown.pause(105.0)
    assert cooldown.until == 115.0


def test_after_a_pause_everything_begins_anew():
    cooldown = Cooldown()
    for _ in range(5):
        cooldown.failed(1.0)
    cooldown.end(cooldown.until)
    assert not any(cooldown.failed(7.0) for _ in range(4))
    assert cooldown.failed(7.0)
