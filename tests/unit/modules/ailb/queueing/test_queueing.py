"""Requests that find no room: who waits, who goes on, who is sent away."""

import asyncio

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.ai import Queue
from marchproxy.modules.ailb.choice import FULL, NOBODY, Chosen
from marchproxy.modules.ailb.queueing import Entrant, Queueing, Shed, Waiting, Why

PATIENT = Queue(10, 30.0)


class Rig:
    """Pools with so many seats; whoever finds one gets a Chosen."""

    def __init__(self, most_bytes=1000, **seats):
        self.seats = seats
        self.clock = VirtualClock()
        self.given_back = []
        self.queueing = Queueing(most_bytes, self.given_back.append, self.clock)
        self.order = []

    def enter(self, name, pools="a", *, options=PATIENT, route="r", **entrant):
        def choose():
            for pool in pools:
                if self.seats.get(pool, 0):
                    self.seats[pool] -= 1
                    self.order.append(name)
                    return Chosen((), 0, 0)
            return FULL

        return self.queueing.enter(Entrant(route, options, tuple(pools), **entrant), choose)

    def frees(self, pool, seats=1):
        self.seats[pool] += seats
        self.queueing.has_room(pool)

    @property
    def is_empty(self):
        return not len(self.queueing) and not self.queueing.bytes


async def test_who_finds_room_does_not_wait():
    rig = Rig(a=1)
    assert isinstance(rig.enter("x"), Chosen)
    assert rig.is_empty
    assert rig.queueing.counts.queued == 0


async def test_nobody_waits_for_who_is_not_there():
    rig = Rig()
    assert rig.queueing.enter(Entrant("r", Queue(), ("a",)), lambda: NOBODY) is NOBODY


async def test_those_who_wait_go_on_one_by_one_in_their_order():
    rig = Rig(a=0)
    waiting = [rig.enter(name) for name in "xyz"]
    assert all(isinstance(each, Waiting) for each in waiting)
    rig.queueing.has_room("b")
    assert rig.order == []
    rig.frees("a", 2)
    assert rig.order == ["x", "y"]
    assert isinstance(await rig.queueing.result(waiting[0]), Chosen)
    rig.frees("a")
    assert [isinstance(await rig.queueing.result(each), Chosen) for each in waiting[1:]] == [True, True]
    assert rig.is_empty
    assert (rig.queueing.counts.queued, rig.queueing.counts.served) == (3, 3)


async def test_nobody_overtakes_who_waits_but_who_is_more_important():
    rig = Rig(a=0)
    rig.enter("early", priority=5)
    rig.seats["a"] = 1  # nobody has told of it yet
    late = rig.enter("late", priority=5)
    assert rig.order == ["early"]
    assert isinstance(late, Waiting)
    rig.seats["a"] = 1
    rig.enter("urgent", priority=0)
    assert rig.order == ["early", "urgent"]


async def test_keys_take_turns():
    rig = Rig(a=0)
    for name, key in (("x1", "x"), ("x2", "x"), ("x3", "x"), ("y1", "y")):
        rig.enter(name, key=key)
    rig.frees("a", 4)
    assert rig.order == ["x1", "y1", "x2", "x3"]


async def test_who_can_go_elsewhere_does_not_wait_for_others():
    rig = Rig(a=0, b=0)
    rig.enter("only a", "a")
    rig.enter("a or b", "ab")
    rig.frees("b")
    assert rig.order == ["a or b"]
    rig.enter("a or b, too", "ab")
    rig.frees("a", 2)
    assert rig.order == ["a or b", "only a", "a or b, too"]  # lines by who came first
    assert rig.is_empty


async def test_of_two_lines_for_a_pool_the_more_important_goes_first():
    rig = Rig(a=0, b=0)
    rig.enter("plain", "a", priority=5)
    rig.enter("urgent", "ab", priority=1)
    rig.frees("a")
    assert rig.order == ["urgent"]


@pytest.mark.parametrize(
    ("options", "sizes", "why"),
    [
        (Queue(0, 30.0), [10], Why.NO_QUEUE),
        (Queue(1, 30.0), [10, 10], Why.CROWDED),  # too many
        (Queue(9, 30.0), [600, 600], Why.CROWDED),  # too many bytes
    ],
)
async def test_who_may_not_wait_is_sent_away(options, sizes, why):
    rig = Rig(a=0)
    *others, last = [rig.enter("x", options=options, size=size) for size in sizes]
    assert last == Shed(why, 1)
    assert all(isinstance(each, Waiting) for each in others)
    assert len(rig.queueing) == len(others)
    assert rig.queueing.counts.crowded + rig.queueing.counts.no_queue == 1


async def test_a_route_without_a_queue_does_not_overtake_either():
    rig = Rig(a=0)
    rig.enter("x")
    rig.seats["a"] = 1
    assert rig.enter("y", options=Queue(0), route="other") == Shed(Why.NO_QUEUE, 1)


async def test_the_bound_on_requests_is_each_routes_own():
    rig = Rig(a=0)
    one = Queue(1, 30.0)
    assert isinstance(rig.enter("x", options=one, route="r"), Waiting)
    assert isinstance(rig.enter("y", options=one, route="s"), Waiting)
    assert isinstance(rig.enter("z", options=one, route="r"), Shed)
    rig.frees("a", 2)
    assert isinstance(rig.enter("z", options=one, route="r"), Waiting)


@pytest.mark.parametrize(("waited", "retry_after"), [(0.0, 1), (7.2, 8), (500.0, 60)])
async def test_who_is_sent_away_is_told_how_long_others_have_waited(waited, retry_after):
    rig = Rig(a=0)
    rig.enter("x", options=Queue(1, 1000.0))
    rig.clock.advance(waited)
    assert rig.enter("y", options=Queue(1, 1000.0)) == Shed(Why.CROWDED, retry_after)


async def test_who_has_waited_too_long_is_sent_away():
    rig = Rig(a=0)
    waiting = rig.enter("x", options=Queue(5, 0.0), size=100)
    assert await rig.queueing.result(waiting) == Shed(Why.LATE, 1)
    assert rig.is_empty
    assert rig.queueing.counts.late == 1
    rig.frees("a")
    assert rig.order == []


async def test_whose_turn_comes_at_the_last_moment_goes_on():
    rig = Rig(a=0)
    waiting = rig.enter("x", options=Queue(5, 0.0))
    rig.frees("a")
    assert isinstance(await rig.queueing.result(waiting), Chosen)
    assert rig.queueing.counts.late == 0


async def wait_for(rig, waiting):
    """A client's task, as far as it waits."""
    task = asyncio.get_running_loop().create_task(rig.queueing.result(waiting))
    await asyncio.sleep(0)
    return task


async def test_a_client_that_goes_away_leaves_at_once():
    rig = Rig(a=0)
    task = await wait_for(rig, rig.enter("gone", size=100))
    rig.enter("next", size=50)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(rig.queueing), rig.queueing.bytes) == (1, 50)
    rig.frees("a")
    assert rig.order == ["next"]
    assert rig.queueing.counts.left == 1


async def test_room_that_comes_while_a_client_goes_is_the_next_ones():
    rig = Rig(a=0)
    task = await wait_for(rig, rig.enter("gone"))
    rig.enter("next")
    task.cancel()  # it has not run yet
    rig.frees("a")
    assert rig.order == ["next"]
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rig.is_empty
    assert rig.given_back == []


async def test_what_was_found_for_a_client_that_then_goes_is_given_back():
    rig = Rig(a=0)
    task = await wait_for(rig, rig.enter("gone"))
    rig.frees("a")
    task.cancel()  # before it has seen its result
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(rig.given_back) == 1
    assert rig.is_empty


async def test_room_that_nobody_has_told_of_is_found_once_a_second():
    rig = Rig(a=0)
    rig.enter("x")
    rig.seats["a"] = 1
    rig.queueing.sweep()
    assert rig.order == ["x"]
    assert rig.is_empty


async def test_who_never_came_to_wait_is_forgotten():
    rig = Rig(a=0)
    rig.enter("x", options=Queue(5, 3.0), size=10)
    rig.clock.advance(5.0)
    rig.queueing.sweep()
    assert len(rig.queueing) == 1
    rig.clock.advance(0.1)
    rig.queueing.sweep()
    assert rig.is_empty
    rig.frees("a")
    assert rig.order == []
