import asyncio
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from marchproxy.engines.ffmpeg.probe import Encoders
from marchproxy.kit.clock import VirtualClock
from marchproxy.model.rtmp import Encoder, Packaging, Rung
from marchproxy.modules.rtmp.packaging.intake import Intake
from marchproxy.modules.rtmp.packaging.ladder import Ladder, rungs_for
from marchproxy.modules.rtmp.packaging.workshop import Workshop
from tests.publisher import CONFIG, pictures

RUNGS = (Rung(360, 800), Rung(1080, 5000), Rung(720, 2800))


@pytest.mark.parametrize(
    ("height", "passthrough", "heights"),
    [
        (1080, True, [720, 360]),
        (1080, False, [1080, 720, 360]),
        (720, True, [360]),
        (540, True, [360]),
        (360, True, []),
        (360, False, [360]),
        (240, True, []),
        (240, False, [360]),  # made smaller: something must be seen
        (0, True, [1080, 720, 360]),
    ],
)
def test_rungs_are_lower_than_the_source(height, passthrough, heights):
    assert [rung.height for rung in rungs_for(RUNGS, height, passthrough=passthrough)] == heights


def frames(start, end):
    intake = Intake()
    for message in (CONFIG, *pictures(start, end)):
        yield message, intake.take(message)


@pytest.mark.parametrize(("start", "more"), [(0, True), (0x7FFFFFFF, True), (0x1_8000_0000, True)])
def test_times_stay_within_what_ffmpeg_can_write(start, more):
    (_, _), (message, taken) = list(frames(0, 40))
    first = taken.frame._replace(time=start)
    ladder = Ladder(RUNGS, CONFIG, first, lambda track, taken: None)
    assert ladder.feed(message, first) is more
    assert ladder.feed(message, first._replace(time=start + 0x6FFF_0000)) is True
    assert ladder.feed(message, first._replace(time=start + 0x7000_0000)) is False


@asynccontextmanager
async def workshop(options, clock=None):
    """A workshop in which no encoder works."""
    one = Workshop("s", options, Encoders({}), lambda track, taken: None, clock=clock or VirtualClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(one.run())
        await asyncio.sleep(0)
        yield one
        task.cancel()


async def settled(one):
    async with asyncio.timeout(30):
        while one.tracks:
            await asyncio.sleep(0.005)


async def test_a_ladder_that_cannot_be_is_tried_again_later():
    clock = VirtualClock()
    async with workshop(Packaging(rungs=(Rung(90, 100),), encoder=Encoder.AUTO), clock) as one:
        with capture_logs() as logs:
            for at, expected in ((0, 1), (1, 1), (2, 2)):
                clock.advance(at)
                for message, taken in frames(0, 2000):
                    one.feed(message, taken, 0)
                await settled(one)
                assert len([log for log in logs if log["event"] == "ladder ended"]) == expected


async def test_without_rungs_or_an_era_nothing_is_begun():
    for options, era in (
        (Packaging(), 0),
        (Packaging(rungs=(Rung(90, 100),)), None),
        (Packaging(rungs=(Rung(360, 1),)), 0),
    ):
        async with workshop(options) as one:
            for message, taken in frames(0, 2000):
                one.feed(message, taken, era)
                assert one.tracks == ()
