from itertools import pairwise

import pytest

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO, Cut, Frame
from marchproxy.modules.rtmp.packaging.listing import MANIFEST, MASTER, manifest, playlists
from marchproxy.modules.rtmp.packaging.memory import read_shelf, write_shelf
from marchproxy.modules.rtmp.packaging.running import Pace
from marchproxy.modules.rtmp.packaging.segmenter import Segmenter
from marchproxy.modules.rtmp.packaging.shelf import Shelf
from marchproxy.wire.codecs.record import AudioRecord, VideoRecord
from tests.manifests import check_manifest
from tests.playlists import check_master, check_media, check_update
from tests.publisher import NOON, PICTURE, Stream


class Folder:
    """Files as they would be written, each list checked against the one before and against what is there."""

    def __init__(self, shelf, every=1):
        self.shelf = shelf
        self.every = every
        self.files = {}
        self.lists = {}
        self.everything = set()

    def add(self, cut):
        for name, data in self.shelf.add(cut):
            assert name not in self.everything, "a name is used again"
            self.everything.add(name)
            self.files[name] = data
        if len(self.everything) % self.every == 0:
            self.publish()
        for name in self.shelf.trim():
            del self.files[name]

    def publish(self):
        lists = playlists(self.shelf) | manifest(self.shelf, NOON)
        for name, text in lists.items():
            if name == MANIFEST:
                named = {file for track in check_manifest(text) for file, _, _ in track.segments}
                named |= {track.head for track in check_manifest(text)}
            elif name == MASTER:
                named = set()
                assert {one["uri"] for one in check_master(text)} <= lists.keys()
            else:
                found = check_media(text).segments
                named = {one.uri for one in found} | {one.head for one in found}
                if name in self.lists:
                    check_update(self.lists[name], text)
            assert named <= self.files.keys(), "a list names what is not there"
        self.lists = lists


def filled(stream, listed=3):
    folder = Folder(Shelf("s", listed))
    for cut in stream.cuts:
        folder.add(cut)
    return folder


def test_what_is_listed_is_there_at_every_moment():
    stream = Stream()
    stream.run(0, 30_000)
    folder = filled(stream)
    assert sorted(folder.lists) == ["a.m3u8", "index.m3u8", "manifest.mpd", "v.m3u8"]
    assert [one.uri for one in check_media(folder.lists["v.m3u8"]).segments] == [
        f"s-v-{number}.m4s" for number in (11, 12, 13)
    ]
    assert len(folder.files) == 2 * (2 * 3 + 1 + 1)  # a window, as much again, one more, and the head


def test_a_list_waits_for_all_tracks():
    stream = Stream()
    stream.run(0, 6000)
    shelf = Shelf("s", 3)
    picture = next(cut for cut in stream.cuts if cut.track == VIDEO)
    sound = next(cut for cut in stream.cuts if cut.track == AUDIO)
    shelf.add(picture)
    assert playlists(shelf) == {}
    assert manifest(shelf, NOON) == {}
    shelf.add(sound)
    assert [one.get("AUDIO") for one in check_master(playlists(shelf)[MASTER])] == [None, "audio"]


def test_a_list_does_not_wait_for_ever():
    stream = Stream()
    stream.run(0, 9000)
    shelf = Shelf("s", 3)
    for count, picture in enumerate(stream.of(VIDEO)[:3], 1):
        shelf.add(picture)
        assert bool(playlists(shelf)) is (count >= 2)


def test_a_ladder_is_waited_for_longer():
    stream = Stream(sound=False)
    stream.run(0, 13_000)
    shelf = Shelf("s", 10)
    seen = []
    for picture in stream.of(VIDEO):
        shelf.add(picture)
        shelf.expect(0, ["v360"])
        seen.append(bool(playlists(shelf)))
    assert seen == [False, False, False, True, True, True]


def test_a_ladder_in_the_lists():
    stream = Stream()
    low = VideoRecord(b"avc1", "avc1.64001e", b"", 640, 360)
    stream.run(0, 7000)
    shelf = Shelf("s", 3)
    for cut in stream.cuts:
        shelf.add(cut)
        if cut.track == VIDEO:
            small = tuple(sample for sample in cut.samples[:20])
            shelf.add(Cut("v360", cut.era, low, cut.begins, cut.duration, small))
    variants = check_master(playlists(shelf)[MASTER])[1:]
    assert [(one["RESOLUTION"], one["CODECS"], one["uri"]) for one in variants] == [
        ("1280x720", "avc1.64001f,mp4a.40.2", "v.m3u8"),
        ("640x360", "avc1.64001e,mp4a.40.2", "v360.m3u8"),
    ]
    tracks = check_manifest(manifest(shelf, NOON)[MANIFEST])
    assert [(track.kind, track.name) for track in tracks] == [
        ("video", "v"),
        ("video", "v360"),
        ("audio", "a"),
    ]


def test_what_is_hidden_leads_but_is_not_listed():
    stream = Stream()
    stream.run(0, 7000)
    shelf = Shelf("s", 3, frozenset({VIDEO}))
    names = [name for cut in stream.cuts for name, _ in shelf.add(cut)]
    assert names
    assert not any("-v-" in name for name in names)
    assert [one["uri"] for one in check_master(playlists(shelf)[MASTER])] == ["a.m3u8"]


@pytest.mark.parametrize("start", [0, 0xFFFFFF - 20_000, 0xFFFFFFFF - 20_000])
def test_eras_are_discontinuities_and_periods(start):
    stream = Stream()
    stream.run(start, start + 8000)
    stream.run(0 if start else 500_000, 8000 if start else 508_000)
    stream.segmenter.set_up(VIDEO, VideoRecord(b"avc1", "avc1.64001e", b"two", 640, 360))
    stream.run(8000 if start else 508_000, 16_000 if start else 516_000)
    stream.end()
    folder = filled(stream, listed=10)
    segments = check_media(folder.lists["v.m3u8"]).segments
    assert [one.discontinuity for one in segments] == [0] * 2 + [1] * 4 + [2] * 4
    assert len({one.head for one in segments}) == 3
    tracks = check_manifest(folder.lists[MANIFEST])
    assert [(track.period, track.name) for track in tracks] == [
        (era, track) for era in "012" for track in (VIDEO, AUDIO)
    ]
    begins = [track.segments[0][1] for track in tracks if track.kind == "video"]
    assert begins == [4.0, 8.0, 16.0]


def test_an_era_begins_no_sooner_than_the_one_before_ended():
    stream = Stream(sound=False)
    stream.run(0, 4000)
    stream.now -= 3  # what comes now was sent all at once
    stream.run(100_000, 104_000)
    stream.end()
    folder = filled(stream)
    first, *_, last = check_manifest(folder.lists[MANIFEST])
    assert sum(first.segments[-1][1:]) <= last.segments[0][1]


def test_audio_without_segments_in_an_era_keeps_its_numbers():
    stream = Stream()
    stream.run(0, 4000)
    stream.sound = False
    stream.run(100_000, 104_000)
    stream.sound = True
    stream.run(200_000, 204_000)
    stream.end()
    folder = filled(stream, listed=10)
    assert {one.discontinuity for one in check_media(folder.lists["a.m3u8"]).segments} == {0, 2}


def test_the_target_only_grows():
    stream = Stream(sound=False)
    stream.run(0, 8000)
    stream.gop = 100
    stream.run(8000, 40_000)
    stream.gop = 25
    stream.run(40_000, 60_000)
    folder = filled(stream)
    assert check_media(folder.lists["v.m3u8"]).target == 4


def test_a_shelf_that_is_read_again_goes_on():
    stream = Stream()
    stream.run(0, 20_000)
    folder = filled(stream)
    again = read_shelf(write_shelf(folder.shelf))
    assert again == folder.shelf
    following = Stream(first_era=again.following)
    following.now = NOON + 25
    following.run(0, 20_000)
    folder.shelf = again
    for cut in following.cuts:
        folder.add(cut)
    assert {one.discontinuity for one in check_media(folder.lists["v.m3u8"]).segments} == {1}


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"stamp": 1}', b"\xff"])
def test_what_is_no_shelf_is_not_read(data):
    with pytest.raises(ValueError, match=r"shelf\.json is no shelf"):
        read_shelf(data)


def test_an_end_is_told_and_a_new_beginning_goes_on_with_the_numbers():
    stream = Stream()
    stream.run(0, 8000)
    stream.end()
    folder = filled(stream)
    folder.shelf.ended = True
    folder.publish()
    assert check_media(folder.lists["v.m3u8"]).ended
    assert "mediaPresentationDuration" in folder.lists[MANIFEST]
    for name in folder.shelf.clear():
        del folder.files[name]
    assert folder.files == {}
    assert playlists(folder.shelf) == {}
    folder.lists = {}
    stream.cuts = []
    stream.run(0, 6000)
    for cut in stream.cuts:
        folder.add(cut)
    found = check_media(folder.lists["v.m3u8"])
    assert [one.number for one in found.segments] == [4, 5]
    assert {one.discontinuity for one in found.segments} == {1}


def test_a_day_passes():
    segmenter, folder = Segmenter(Pace(60_000)), Folder(Shelf("s", 3), every=20)
    segmenter.set_up(VIDEO, PICTURE)
    segmenter.set_up(AUDIO, AudioRecord(b"Opus", "opus", b"", 48000, 2))
    day = 86_400_000
    for time in range(0xFFFFFFFF - day // 2, 0xFFFFFFFF + day // 2, 5000):
        for track in (VIDEO, AUDIO):
            for cut in segmenter.take(track, Frame(time, 0, True, b"x"), NOON + time / 1000):
                folder.add(cut)
    assert len(folder.files) == 2 * (2 * 3 + 1 + 1)
    assert {one.discontinuity for one in check_media(folder.lists["v.m3u8"]).segments} == {0}
    assert len(folder.everything) == 2 * (day // 60_000 - 1) + 2


@pytest.mark.parametrize(("gop", "step", "rate"), [(25, 40, "25.000"), (30, 33, "30.3"), (50, 20, "50.000")])
def test_the_frame_rate_is_counted(gop, step, rate):
    stream = Stream(sound=False)
    for index in range(gop * 5):
        stream.send(index * step, VIDEO, key=index % gop == 0, now=NOON + index * step / 1000)
    (variant,) = check_master(filled(stream).lists[MASTER])
    assert variant["FRAME-RATE"].startswith(rate)


def test_rates_are_those_of_the_segments():
    stream = Stream(sound=False)
    for time in range(0, 10_000, 40):
        frame = Frame(time, 0, time % 2000 == 0, bytes(5000 if 4000 <= time < 6000 else 2500))
        stream.cuts += stream.segmenter.take(VIDEO, frame, NOON + time / 1000)
    (variant,) = check_master(filled(stream, listed=10).lists[MASTER])
    # 2500 and 5000 bytes 25 times a second, and the boxes
    assert (variant["BANDWIDTH"], variant["AVERAGE-BANDWIDTH"]) == ("1100000", "630000")


def test_lists_in_order():
    stream = Stream()
    stream.run(0, 16_000)
    folder = filled(stream)
    numbers = [one.number for one in check_media(folder.lists["a.m3u8"]).segments]
    assert all(other == one + 1 for one, other in pairwise(numbers))
