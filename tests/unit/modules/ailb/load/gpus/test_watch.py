"""The thread that looks at GPUs: what it has seen is there to be asked, and what it could not see is said."""

from types import SimpleNamespace

import pytest

from marchproxy.kit.clock import SystemClock, VirtualClock
from marchproxy.modules.ailb.load.gpus import GpuWatch
from marchproxy.modules.ailb.load.gpus import watch as watching
from marchproxy.modules.ailb.load.gpus.device import Device
from marchproxy.modules.ailb.load.gpus.nvml import NoNvml
from tests.real.support.waiting import until


class Opened:
    """An NVML: `looks` are what it says one after the other; the last one again and again."""

    def __init__(self, looks):
        self.looks = list(looks)

    def look(self):
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, Exception):
            raise found
        return found

    def close(self):
        pass


@pytest.fixture
def start(monkeypatch):
    started = []

    def begin(*looks):
        opened = Opened(looks)
        monkeypatch.setattr(watching, "Nvml", lambda _: opened)
        monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.01)
        monkeypatch.setattr(watching, "_ANEW_SECONDS", 0.01)
        started.append(GpuWatch(SystemClock(), load=SimpleNamespace))
        started[-1].start()
        return started[-1]

    yield begin
    for watch in started:
        watch.close()


async def test_what_was_seen_last_can_be_asked(start):
    watch = start((Device("a", 0),), (Device("a", 0, temperature=70.0),))
    await until(lambda: [one.device.temperature for one in watch.known] == [70.0])
    assert watch.trouble == ""
    assert watch.unfit(["127.0.0.1:1"]) == {}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((), "finds no GPU"),
        (NoNvml("driver not loaded"), "driver not loaded"),
        (ValueError("odd"), "see the log"),
    ],
)
async def test_why_nothing_is_known_is_said(start, said, words):
    watch = start(said)
    await until(lambda: words in watch.trouble)
    assert not list(watch.known)


async def test_what_is_said_no_more_holds_for_a_minute(start, monkeypatch):
    watch = start((Device("a", 0),), NoNvml("driver not loaded"))
    await until(lambda: watch.trouble == "driver not loaded")
    assert [one.device.uuid for one in watch.known] == ["a"]
    monkeypatch.setattr(watching, "_HOLDS", 0.0)
    assert not list(watch.known)


async def test_it_goes_on_after_what_failed_and_after_one_that_was_lost(start):
    watch = start(NoNvml("reset"), (Device("a", 0, is_lost=True),), OSError("odd"), (Device("b", 0),))
    await until(lambda: [one.device.uuid for one in watch.known] == ["b"])


def test_without_the_package_there_is_no_thread_and_its_silence_is_no_trouble():
    def missing():
        raise NoNvml("not installed")

    clock = VirtualClock()
    watch = GpuWatch(clock, load=missing)
    assert watch.trouble == "not looked at yet"
    watch.start()
    clock.advance(60)
    assert watch.trouble == "not installed"
