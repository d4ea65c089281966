import asyncio
from datetime import UTC, datetime, timedelta

from marchproxy.kit.clock import SystemClock, VirtualClock


async def test_system_clock_reads_the_machine():
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(-1)
    assert clock.monotonic() >= before
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert clock.now().utcoffset() == timedelta(0)


async def test_virtual_clock_wakes_in_order_of_time():
    clock, woken = VirtualClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2, 0):
            group.create_task(sleeper(seconds))
        await clock.elapse(1.5)
        assert woken == [(0, 0.0), (1, 1.0)]
        await clock.elapse(10)
    assert woken == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]


async def test_virtual_clock_lets_a_loop_sleep_again():
    clock, rounds = VirtualClock(), []

    async def loop():
        while True:
            await clock.sleep(10)
            rounds.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop())
        await clock.elapse(35)
        task.cancel()
    assert rounds == [10, 20, 30]
    clock.advance(10)  # the cancelled sleeper is left alone


def test_advance_moves_both_times():
    clock = VirtualClock()
    start = clock.now()
    clock.advance(90)
    assert clock.monotonic() == 90
    assert clock.now() - start == timedelta(seconds=90)
