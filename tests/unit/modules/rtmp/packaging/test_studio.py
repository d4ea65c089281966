import asyncio
import os
from contextlib import asynccontextmanager

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.tasks import Isolating
from marchproxy.model.rtmp import Packaging
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.packaging import studio as module
from marchproxy.modules.rtmp.packaging.place import folder_of
from marchproxy.modules.rtmp.packaging.studio import Studio
from tests.playlists import check_media
from tests.publisher import CONFIG, NOON, pictures

KEY = StreamKey("", "live", "one")


class Live:
    """A stream that was live for some seconds before anybody asked."""

    def __init__(self, backlog=()):
        self.backlog = backlog
        self.taps = []

    def tap(self, tap):
        self.taps.append(tap)
        tap.messages(self.backlog)

    def untap(self, tap):
        if tap in self.taps:
            self.taps.remove(tap)

    def send(self, *messages):
        for tap in self.taps:
            tap.messages(messages)


@asynccontextmanager
async def studio(tmp_path, clock=None):
    async with asyncio.TaskGroup() as group:
        one = Studio(group, tmp_path, clock=clock or VirtualClock())
        yield one
        one.close()


async def until(holds):
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


def lists(tmp_path):
    return folder_of(tmp_path, KEY) / "v.m3u8"


@pytest.mark.parametrize(("on_demand", "taps"), [(True, 0), (False, 1)])
async def test_a_stream_is_packaged_from_its_beginning_where_that_is_wanted(tmp_path, on_demand, taps):
    async with studio(tmp_path) as one:
        live = Live()
        one.began(KEY, live, Packaging(on_demand=on_demand))
        await until(lambda: len(live.taps) == taps)


async def test_a_stream_is_packaged_when_somebody_watches(tmp_path):
    async with studio(tmp_path) as one:
        live = Live([CONFIG, *pictures(0, 2500)])
        assert await one.watch(KEY, live, Packaging()) == ""
        assert one.renditions(KEY.text) == ("v",)
        assert check_media(lists(tmp_path).read_text()).segments


async def test_a_second_viewer_finds_what_there_is(tmp_path):
    async with studio(tmp_path) as one:
        live = Live([CONFIG, *pictures(0, 2500)])
        await one.watch(KEY, live, Packaging())
        assert await one.watch(KEY, live, Packaging()) == ""
        assert len(live.taps) == 1


@pytest.mark.parametrize(
    ("live", "packaging", "words"),
    [
        (None, Packaging(), "nobody publishes this stream now"),
        (Live(), None, "the route of this stream has no packaging"),
        (
            Live([CONFIG]),
            Packaging(),
            "there is no whole segment yet: the publisher has sent no second keyframe",
        ),
        (Live(list(pictures(0, 40))), Packaging(), "avc1 came without a sequence header"),
    ],
)
async def test_why_a_stream_cannot_be_watched(tmp_path, monkeypatch, live, packaging, words):
    monkeypatch.setattr(module, "_FIRST_SECONDS", 0.01)
    async with studio(tmp_path) as one:
        assert await one.watch(KEY, live, packaging) == words


async def test_what_nobody_watches_any_more_ends_and_leaves_nothing(tmp_path):
    clock = VirtualClock()
    live = Live([CONFIG, *pictures(0, 2500)])
    async with studio(tmp_path, clock) as one:
        await one.watch(KEY, live, Packaging(linger=30))
        clock.advance(29)
        one.sweep()
        assert live.taps
        clock.advance(2)
        one.sweep()
        assert not live.taps
        await until(lambda: one.renditions(KEY.text) == ())
    assert not lists(tmp_path).parent.exists()


async def test_who_watches_keeps_it_going(tmp_path):
    clock = VirtualClock()
    live = Live([CONFIG, *pictures(0, 2500)])
    async with studio(tmp_path, clock) as one:
        for _ in range(5):
            await one.watch(KEY, live, Packaging(linger=30))
            clock.advance(29)
            one.sweep()
        assert live.taps


async def test_what_has_ended_is_forgotten_after_a_while(tmp_path):
    clock = VirtualClock()
    async with studio(tmp_path, clock) as one:
        live = Live([CONFIG, *pictures(0, 2500)])
        await one.watch(KEY, live, Packaging(window=10, linger=30))
        live.taps[0].ended()
        clock.advance(39)
        one.sweep()
        await until(lambda: check_media(lists(tmp_path).read_text()).ended)
        assert one.renditions(KEY.text) == ("v",)
        clock.advance(2)
        one.sweep()
    assert not lists(tmp_path).parent.exists()


async def test_who_comes_while_it_is_being_forgotten_finds_a_new_one(tmp_path):
    clock = VirtualClock()
    live = Live([CONFIG, *pictures(0, 2500)])
    async with studio(tmp_path, clock) as one:
        await one.watch(KEY, live, Packaging(linger=30))
        clock.advance(31)
        one.sweep()
        assert await one.watch(KEY, live, Packaging(linger=30)) == ""
        assert check_media(lists(tmp_path).read_text()).segments


async def test_another_packaging_begins_with_nothing(tmp_path):
    async with studio(tmp_path) as one:
        live = Live([CONFIG, *pictures(0, 2500)])
        await one.watch(KEY, live, Packaging())
        live.taps.pop().ended()
        assert await one.watch(KEY, live, Packaging(dash=False)) == ""
        assert not (lists(tmp_path).parent / "manifest.mpd").exists()


def test_what_dead_workers_left_goes(tmp_path):
    for name, age in (("old", 1000), ("new", 800)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "v.m3u8").write_text("x")
        os.utime(tmp_path / name, (NOON - age, NOON - age))
    module.remove_strays(tmp_path, NOON)
    assert [folder.name for folder in tmp_path.iterdir()] == ["new"]


async def test_viewers_are_those_that_were_told_of_late(tmp_path):
    clock = VirtualClock()
    async with studio(tmp_path, clock) as one:
        assert one.viewers(KEY.text) == 0
        await one.watch(KEY, Live([CONFIG, *pictures(0, 2500)]), Packaging(), 7)
        assert one.viewers(KEY.text) == 7
        clock.advance(16)
        assert one.viewers(KEY.text) == 0


async def test_a_packager_that_fails_is_fed_no_more(tmp_path, monkeypatch):
    async def fails(packager):
        raise ZeroDivisionError

    monkeypatch.setattr(module, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(module.Packager, "run", fails)
    live = Live([CONFIG])
    async with Isolating() as group:
        one = Studio(group, tmp_path, clock=VirtualClock())
        await one.watch(KEY, live, Packaging())
        await until(lambda: not one.has(KEY.text))
        assert live.taps == []


async def test_an_end_is_told_and_the_next_stream_is_another(tmp_path):
    async with studio(tmp_path) as one:
        live = Live([CONFIG, *pictures(0, 2500)])
        await one.watch(KEY, live, Packaging())
        live.taps[0].ended()
        again = Live([CONFIG, *pictures(0, 2500)])
        assert await one.watch(KEY, again, Packaging()) == ""
        assert again.taps


async def test_a_worker_that_ends_leaves_everything_for_the_next(tmp_path):
    async with studio(tmp_path) as one:
        live = Live([CONFIG, *pictures(0, 2500)])
        await one.watch(KEY, live, Packaging())
    assert not live.taps
    found = check_media(lists(tmp_path).read_text())
    assert not found.ended
    assert [segment.duration for segment in found.segments] == [2.0, 0.52]
