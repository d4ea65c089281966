"""Counters only grow, and series are bounded, whatever becomes of Envoy and of the routes."""

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.engines.envoy.metrics.buckets import Distribution, distribution
from marchproxy.engines.envoy.metrics.family import counter, gauge, histogram
from marchproxy.engines.envoy.metrics.source import Source, cell
from marchproxy.engines.envoy.metrics.tally import OTHER, Tally

ASKED = counter("asked", "Asked.")
OPEN = gauge("open", "Open.")
TOOK = histogram("took", "Took.")
THINGS = Source(
    r"thing\.<stat>\.(?P<thing>.+)", {"asked": cell(ASKED), "open": cell(OPEN), "took": cell(TOOK)}
)
WHOLE = Source(r"whole\.<stat>", {"asked": cell(counter("all", "All."), by="us")})
TABLE = (THINGS, WHOLE)


def values(tally: Tally) -> dict[tuple[str, ...], int]:
    """Each series by its family and the values of its labels."""
    return {
        (family.name, *(value for _, value in series.labels)): series.value
        for family, members in tally.families()
        for series in members
        if family is not TOOK
    }


def asked(**things: int) -> dict[str, int]:
    return {f"thing.asked.{name}": count for name, count in things.items()}


def test_what_is_one_thing_stands_at_0_from_the_start() -> None:
    assert values(Tally(TABLE)) == {("all_total", "us"): 0}


def test_counters_add_up_and_gauges_are_of_now() -> None:
    tally = Tally(TABLE)
    tally.add({**asked(a=3), "thing.open.a": 7, "whole.asked": 5, "somebody.else": 1}, 1)
    tally.add({**asked(a=4, b=1), "thing.open.a": 2, "whole.asked": 5}, 1)
    assert values(tally) == {
        ("asked_total", "a"): 4, ("asked_total", "b"): 1, ("open", "a"): 2, ("all_total", "us"): 5,
    }  # fmt: skip
    tally.add(asked(a=4), 1)
    assert values(tally)["open", "a"] == 0


def test_another_process_began_at_0_even_when_it_is_ahead_by_now() -> None:
    tally = Tally(TABLE)
    tally.add(asked(a=3), 1)
    tally.add(asked(a=5), 2)
    assert values(tally)["asked_total", "a"] == 8


def test_a_counter_that_went_back_began_at_0() -> None:
    tally = Tally(TABLE)
    for count in (3, 1, 2):
        tally.add(asked(a=count), 1)
    assert values(tally)["asked_total", "a"] == 5


def test_more_things_than_there_may_be_share_one_series() -> None:
    tally = Tally(TABLE, most=2)
    tally.add(asked(a=1, b=2), 1)
    tally.add(asked(a=1, b=2, c=4, d=8), 1)
    assert values(tally) == {
        ("asked_total", "a"): 1, ("asked_total", "b"): 2, ("asked_total", OTHER): 12, ("all_total", "us"): 0,
    }  # fmt: skip


def test_a_thing_that_went_leaves_its_place_and_what_it_shared_stays() -> None:
    tally = Tally(TABLE, most=1)
    tally.know({"thing": frozenset("abc")})
    tally.add(asked(a=1, b=2, x=9), 1)
    tally.know({"thing": frozenset("bc")})
    tally.add({**asked(a=5, b=3, c=4), "thing.open.b": 7}, 1)
    # c is new and takes the place; b stays where all of it is; a is nobody's any more, x never was
    assert values(tally) == {
        ("asked_total", "c"): 4, ("asked_total", OTHER): 3, ("open", OTHER): 7, ("all_total", "us"): 0,
    }  # fmt: skip


def test_a_thing_that_comes_back_is_not_counted_twice() -> None:
    tally = Tally(TABLE)
    tally.know({"thing": frozenset("ab")})
    tally.add(asked(a=5), 1)
    tally.know({"thing": frozenset("b")})
    tally.add(asked(a=6), 1)
    tally.know({"thing": frozenset("ab")})
    tally.add(asked(a=8), 1)
    assert values(tally)["asked_total", "a"] == 2


def spread(tally: Tally) -> Distribution:
    (found,) = [members for family, members in tally.families() if family is TOOK]
    return found[0].distribution


def test_histograms_go_on_and_wait_while_they_are_not_asked_for() -> None:
    def look(count: int) -> dict[str, Distribution]:
        return {"thing.took.a": distribution([{"lower_bound": 3.0, "width": 0.1, "count": count}])}

    tally = Tally(TABLE)
    tally.add({}, 1, look(2))
    tally.add({}, 1)
    tally.add({}, 1, look(5))
    assert spread(tally).samples == 5
    tally.add({}, 2)
    tally.add({}, 2, look(6))
    assert spread(tally).samples == 11


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50)),
            st.integers(1, 3),
            st.one_of(st.none(), st.frozensets(st.sampled_from("abcdef"))),
        ),
        max_size=12,
    )
)
def test_no_counter_goes_back_and_no_series_is_too_many(readings) -> None:
    tally = Tally(TABLE, most=2)
    before: dict[tuple[str, ...], int] = {}
    for counts, generation, known in readings:
        if known is not None:
            tally.know({"thing": known})
            before = {key: value for key, value in before.items() if key in values(tally)}
        tally.add(asked(**counts), generation)
        now = values(tally)
        assert all(now[key] >= value for key, value in before.items())
        assert len({key[1] for key in now if key[0] == "asked_total"} - {OTHER}) <= 2
        before = now


def test_a_statistic_of_two_kinds_of_things_counts_for_both_as_they_come_and_go() -> None:
    sources = (
        Source(r"way\.<stat>\.\w+/(?P<thing>\w+)", {"asked": cell(ASKED), "took": cell(TOOK)}),
        Source(r"way\.<stat>\.(?P<pool>\w+)/\w+", {"asked": cell(counter("pool_asked", "Asked."))}),
    )
    tally = Tally(sources)
    tally.know({"thing": frozenset({"a"}), "pool": frozenset({"p"})})
    tally.add({"way.asked.p/a": 3, "way.asked.p/b": 4}, 1, {"way.took.p/a": distribution([])})
    assert values(tally) == {("asked_total", "a"): 3, ("pool_asked_total", "p"): 7}
    tally.know({"thing": frozenset({"a", "b"}), "pool": frozenset({"p"})})
    tally.add({"way.asked.p/a": 4, "way.asked.p/b": 6}, 1)
    assert values(tally) == {("asked_total", "a"): 4, ("asked_total", "b"): 2, ("pool_asked_total", "p"): 10}
    tally.know({"thing": frozenset({"b"}), "pool": frozenset({"p"})})
    tally.add({"way.asked.p/a": 5, "way.asked.p/b": 6}, 1)
    assert values(tally) == {("asked_total", "b"): 2, ("pool_asked_total", "p"): 11}
