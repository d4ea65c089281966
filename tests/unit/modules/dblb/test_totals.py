"""Counts of workers: added up, and never less than before when one of them starts anew."""

import pytest

from marchproxy.modules.dblb.tally import Tallies, TallyKey
from marchproxy.modules.dblb.totals import Totals, entries

KEY = TallyKey("postgres", "r", "p", "db", "me")


def counted(*, queries=0, clients=0, seconds=(), pins=()):
    tallies = Tallies()
    tally = tallies.of(KEY)
    tally.queries, tally.clients = queries, clients
    for one in seconds:
        tally.query_seconds.add(one)
    tally.pins.update(pins)
    return entries(tallies)


def test_workers_add_up():
    totals = Totals()
    totals.note(0, 100, counted(queries=2, clients=1, seconds=(0.0001, 40.0), pins=("listen",)), 5)
    totals.note(1, 101, counted(queries=3, clients=1, seconds=(0.02,), pins=("listen", "temp")), 6)
    (found,) = totals.tallies().values()
    assert (found.queries, found.clients, totals.accepted()) == (5, 2, 11)
    assert sum(found.query_seconds.buckets) == 3
    assert found.query_seconds.total == pytest.approx(40.0201)
    assert found.pins == {"listen": 2, "temp": 1}


def test_a_worker_that_starts_anew_takes_nothing_back():
    totals = Totals()
    totals.note(0, 100, counted(queries=7, clients=3, seconds=(0.02,)), 5)
    for _ in range(2):  # asked as often as one likes
        totals.note(0, 200, counted(queries=1, clients=1, seconds=(0.02,)), 1)
        (found,) = totals.tallies().values()
        assert (found.queries, found.clients, totals.accepted()) == (8, 1, 6)
        assert sum(found.query_seconds.buckets) == 2


def test_what_is_told_again_is_not_counted_twice():
    totals = Totals()
    totals.note(0, 100, counted(queries=1), 1)
    totals.note(0, 100, counted(queries=4), 2)
    assert [tally.queries for tally in totals.tallies().values()] == [4]
    assert totals.accepted() == 2
