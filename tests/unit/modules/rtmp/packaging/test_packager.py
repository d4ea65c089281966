import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.rtmp import Packaging
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.packaging.packager import Packager
from marchproxy.modules.rtmp.packaging.place import folder_of
from marchproxy.modules.rtmp.packaging.writer import MOST_WAITING, Errand, Writer
from tests.manifests import check_manifest
from tests.playlists import check_master, check_media
from tests.publisher import CONFIG, pictures


@asynccontextmanager
async def packaging(folder, options=None, clock=None):
    packager = Packager("a/b/c", folder, options or Packaging(window=3), clock=clock or VirtualClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(packager.run())
        yield packager
        await packager.written()
        task.cancel()


async def test_a_stream_becomes_files(tmp_path):
    async with packaging(tmp_path / "one") as packager:
        packager.take([CONFIG, *pictures(0, 7000)])
        await packager.listed.wait()
        assert packager.renditions == ("v",)
    folder = tmp_path / "one"
    found = check_media((folder / "v.m3u8").read_text())
    assert [segment.number for segment in found.segments] == [0, 1, 2]
    assert all((folder / segment.uri).stat().st_size for segment in found.segments)
    (track,) = check_manifest((folder / "manifest.mpd").read_text())
    assert track.codecs == "avc1.42c00d"
    assert check_master((folder / "index.m3u8").read_text())[0]["RESOLUTION"] == "322x178"
    assert (folder / "v.m3u8").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("options", "lists"),
    [
        (Packaging(hls=False), {"manifest.mpd"}),
        (Packaging(dash=False), {"index.m3u8", "v.m3u8"}),
    ],
)
async def test_only_what_is_asked_for_is_listed(tmp_path, options, lists):
    async with packaging(tmp_path / "one", options) as packager:
        packager.take([CONFIG, *pictures(0, 3000)])
    assert {file.name for file in (tmp_path / "one").iterdir() if file.suffix in {".m3u8", ".mpd"}} == lists


async def test_old_segments_go(tmp_path):
    clock = VirtualClock()
    async with packaging(tmp_path / "one", clock=clock) as packager:
        for start in range(0, 40_000, 1000):
            clock.advance(1)
            packager.take([CONFIG, *pictures(start, start + 1000)])
    names = {file.name for file in (tmp_path / "one").iterdir()}
    assert len([name for name in names if name.endswith(".m4s")]) == 7
    assert len([name for name in names if name.endswith(".mp4")]) == 1


async def test_who_comes_next_goes_on(tmp_path):
    clock = VirtualClock()
    async with packaging(tmp_path / "one", clock=clock) as packager:
        packager.take([CONFIG, *pictures(0, 7000)])
    before = check_media((tmp_path / "one/v.m3u8").read_text())
    clock.advance(9)
    async with packaging(tmp_path / "one", clock=clock) as packager:
        packager.take([CONFIG, *pictures(0, 3000)])
    after = check_media((tmp_path / "one/v.m3u8").read_text())
    assert [(one.number, one.discontinuity) for one in after.segments] == [(1, 0), (2, 0), (3, 1)]
    assert after.segments[:2] == before.segments[1:]


@pytest.mark.parametrize("memory", [b"", b"garbage", b'{"stamp":"s","listed":3}' * 2])
async def test_a_memory_that_is_of_no_use_is_told_of_and_forgotten(tmp_path, memory):
    (tmp_path / "shelf.json").write_bytes(memory)
    with capture_logs() as logs:
        async with packaging(tmp_path) as packager:
            packager.take([CONFIG, *pictures(0, 3000)])
    assert [log["event"] for log in logs] == ["what was packaged before is of no use"]
    assert check_media((tmp_path / "v.m3u8").read_text()).segments


async def test_a_publisher_that_blinks_begins_an_era(tmp_path):
    async with packaging(tmp_path / "one", Packaging(window=10)) as packager:
        packager.take([CONFIG, *pictures(0, 3000)])
        packager.pause()
        packager.take([CONFIG, *pictures(0, 3000)])
    found = check_media((tmp_path / "one/v.m3u8").read_text())
    assert [(one.discontinuity, one.duration) for one in found.segments] == [(0, 2.0), (0, 1.0), (1, 2.0)]


async def test_an_end_is_told_and_what_comes_next_begins_with_nothing(tmp_path):
    async with packaging(tmp_path / "one") as packager:
        packager.take([CONFIG, *pictures(0, 3000)])
        packager.end()
    found = check_media((tmp_path / "one/v.m3u8").read_text())
    assert found.ended
    async with packaging(tmp_path / "one") as packager:
        await packager.written()
        assert [file.name for file in (tmp_path / "one").iterdir()] == ["shelf.json"]
        packager.take([CONFIG, *pictures(0, 3000)])
    after = check_media((tmp_path / "one/v.m3u8").read_text())
    assert not after.ended
    assert [one.number for one in after.segments] == [found.segments[-1].number + 1]


async def test_other_settings_begin_with_nothing(tmp_path):
    async with packaging(tmp_path / "one") as packager:
        packager.take([CONFIG, *pictures(0, 3000)])
    async with packaging(tmp_path / "one", Packaging(window=5)) as packager:
        packager.take([CONFIG, *pictures(0, 3000)])
    assert len(list((tmp_path / "one").glob("*.m4s"))) == 1


async def test_a_disk_that_fails_costs_segments_and_no_more(tmp_path):
    folder = tmp_path / "one"
    folder.write_text("a file is in the way")
    with capture_logs() as logs:
        async with packaging(folder) as packager:
            packager.take([CONFIG, *pictures(0, 3000)])
            await packager.written()
            assert not packager.listed.is_set()
            folder.unlink()
            packager.take([*pictures(3000, 8000)])
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["segments are lost"]
    found = check_media((folder / "v.m3u8").read_text())
    assert {(folder / one.uri).is_file() for one in found.segments} == {True}


async def test_what_cannot_be_packaged_is_told_of_once(tmp_path):
    with capture_logs() as logs:
        async with packaging(tmp_path) as packager:
            packager.take(list(pictures(0, 3000)))
            packager.take(list(pictures(3000, 6000)))
    assert [(log["event"], log["reason"]) for log in logs] == [
        ("not packaged", "avc1 came without a sequence header")
    ]


async def test_a_writer_does_not_pile_up_what_a_disk_does_not_take(tmp_path):
    failed = []
    writer = Writer(tmp_path / "one", failed.append)
    for name in ("a", "b", "c"):
        writer.add(Errand(((name, bytes(MOST_WAITING // 2)),)))
    assert failed == [f"{MOST_WAITING // 2 * 2} bytes wait for the disk"]
    writer.add(Errand((("d", b"d"),)))
    writer.end()
    await writer.run()
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["d"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (StreamKey("", "live", "one"), "%2Flive%2Fone"),
        (StreamKey("host.example", "live/eu", "ä ?%"), "host.example%2Flive%2Feu%2F%C3%A4%20%3F%25"),
        (StreamKey("h", "a", "n" * 256), "64 hex"),
    ],
)
def test_each_stream_has_a_folder(key, name):
    found = folder_of(Path("/media"), key)
    assert found.parent == Path("/media")
    assert (f"{len(found.name)} hex" if found.name.isalnum() else found.name) == name
