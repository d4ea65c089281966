import asyncio
import itertools
import os
import signal

import pytest
from structlog.testing import capture_logs

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.tasks import Isolating, beside, comes, every, run, run_service


async def test_every_goes_on_after_an_error_and_logs_it():
    clock, rounds = VirtualClock(), []

    async def work():
        rounds.append(clock.monotonic())
        if len(rounds) == 2:
            raise ValueError("second round")

    with capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(every(10, work, clock=clock, name="heartbeat"))
            await clock.elapse(35)
            task.cancel()
    assert rounds == [0, 10, 20, 30]
    assert [(entry["task"], entry["log_level"]) for entry in logs] == [("heartbeat", "error")]


async def test_every_keeps_its_pace_when_work_takes_time():
    clock, rounds = VirtualClock(), []

    async def work():
        rounds.append(clock.monotonic())
        await clock.sleep(4 if len(rounds) < 3 else 25)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(every(10, work, clock=clock, name="slow"))
        await clock.elapse(46)
        task.cancel()
    assert rounds == [0, 10, 20, 45]


async def test_every_asks_for_its_pace_each_time():
    clock, rounds = VirtualClock(), []

    async def work():
        rounds.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        task = group.create_task(every(lambda: len(rounds), work, clock=clock, name="slower and slower"))
        await clock.elapse(7)
        task.cancel()
    assert rounds == [0, 1, 3, 6]


async def test_every_jitter_stays_within_its_share():
    clock, rounds = VirtualClock(), []

    async def work():
        rounds.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        task = group.create_task(every(10, work, clock=clock, name="spread", jitter=0.1))
        await clock.elapse(200)
        task.cancel()
    gaps = [after - before for before, after in itertools.pairwise(rounds)]
    assert all(9 <= gap <= 11 for gap in gaps)
    assert len({round(gap, 6) for gap in gaps}) > 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_stop(number):
    async def main(stop):
        os.kill(os.getpid(), number)
        await stop.wait()

    assert await run_service(main) is True


async def test_a_second_signal_cancels():
    seen = []

    async def main(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    assert await run_service(main) is False
    assert seen == ["cancelled"]


async def test_to_the_patient_a_second_signal_is_no_news():
    async def main(stop):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
            await asyncio.sleep(0)

    assert await run_service(main, patient=True) is True


async def test_hangup_reloads_and_a_failed_reload_is_logged():
    calls = []

    async def reload():
        calls.append(1)
        if len(calls) == 1:
            reloaded.set()
            raise ValueError("bad settings")
        os.kill(os.getpid(), signal.SIGTERM)

    reloaded = asyncio.Event()

    async def main(stop):
        os.kill(os.getpid(), signal.SIGHUP)
        await reloaded.wait()
        os.kill(os.getpid(), signal.SIGHUP)
        await stop.wait()

    with capture_logs() as logs:
        assert await run_service(main, on_reload=reload) is True
    assert len(calls) == 2
    assert [entry["event"] for entry in logs] == ["reload failed; the service goes on as before"]


async def test_an_error_of_the_service_comes_out_bare():
    async def main(stop):
        raise OSError("port in use")

    with pytest.raises(OSError, match="port in use"):
        await run_service(main)


async def test_cancelling_from_outside_cancels_the_service():
    started, ended = asyncio.Event(), asyncio.Event()

    async def main(stop):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run_service(main))
        await started.wait()
        task.cancel()
    assert task.cancelled()
    assert ended.is_set()


async def test_work_beside_a_block_ends_with_it():
    ended = asyncio.Event()

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside(work(), name="work"):
        await asyncio.sleep(0)
    assert ended.is_set()


async def test_an_error_of_the_block_comes_out_bare_and_one_of_the_work_ends_the_block():
    with pytest.raises(OSError, match="port in use"):
        async with beside(asyncio.Event().wait(), name="work"):
            raise OSError("port in use")

    async def fail():
        raise OSError("work failed")

    with pytest.raises(ExceptionGroup) as failed:
        async with beside(fail(), name="work"):
            await asyncio.Event().wait()
    assert failed.value.subgroup(lambda error: "work failed" in str(error))


async def test_a_task_that_fails_ends_alone():
    async def fail():
        raise OSError("its own affair")

    async def work():
        await asyncio.sleep(0)
        return "done"

    with capture_logs() as logs:
        async with Isolating() as group:
            failed, other = group.create_task(fail()), group.create_task(work())
            never = group.create_task(work())
            never.cancel()  # before it began
    assert (failed.result(), other.result(), never.cancelled()) == (None, "done", True)
    assert [entry["log_level"] for entry in logs] == ["error"]


def test_run_is_uvloop():
    async def loop_module():
        return type(asyncio.get_running_loop()).__module__

    assert run(loop_module).startswith("uvloop")


async def test_an_event_comes_or_does_not():
    event = asyncio.Event()
    assert not await comes(event, within=0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await comes(event, within=30.0)
    assert await comes(event, within=30.0)
