"""Numbers and times as people read them."""

from datetime import datetime, timedelta, timezone

import pytest

from marchproxy.manager.ui.components.words import ago, count, milliseconds, percent, plural, rate, size, span


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0, "0"), (3.24, "3.2"), (7, "7"), (842.4, "842"), (12_345, "12.3k"), (1_250_000, "1.25M")],
)  # fmt: skip
def test_counts(value, text):
    assert count(value) == text
    assert rate(value) == (text if value is None else f"{text}/s")


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (0, "0 %"), (0.0004, "< 0.1 %"), (0.012, "1.2 %"), (0.5, "50 %"), (1, "100 %")],
)
def test_shares(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "–"), (0.25, "0.25 ms"), (41.23, "41.2 ms"), (1530, "1.53 s"), (60_000, "60 s")],
)
def test_latencies(value, text):
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (512, "512 B"), (1536, "1.5 KiB"), (5 * 1024**2, "5 MiB"), (2048 * 1024**3, "2048 GiB")],
)
def test_sizes(value, text):
    assert size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3700, "1 h 1 min"),
        (7200, "2 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_spans(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1 route"), (2, "2 routes"), (12_000, "12\u202f000 routes")]
)
def test_plurals(number, text):
    assert plural(number, "route") == text


def test_moments_are_told_so_that_browsers_can_count():
    made = ago(datetime(2026, 1, 2, 13, tzinfo=timezone(timedelta(hours=1))))
    assert 'datetime="2026-01-02T12:00:00+00:00" data-ago' in made
    assert "never" in ago(None)
