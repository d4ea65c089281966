import itertools

import pytest

from marchproxy.wire.hls import (
    Playlist,
    Rendition,
    Segment,
    Variant,
    iso_time,
    master_playlist,
    media_playlist,
)
from tests.playlists import check_media, check_update

BEGIN = 1_700_000_000.25


def segments(*eras):
    return [
        Segment(f"v-{number}.m4s", 2000, BEGIN + 2 * number, f"v-{era}.mp4", era)
        for number, era in enumerate(eras)
    ]


def test_a_media_playlist():
    found = segments(3, 3)
    assert media_playlist(Playlist(2, 7, found)).splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-DISCONTINUITY-SEQUENCE:3",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-MAP:URI="v-3.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.250Z",
        "#EXTINF:2.000,",
        "v-0.m4s",
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:22.250Z",
        "#EXTINF:2.000,",
        "v-1.m4s",
    ]


@pytest.mark.parametrize(
    ("eras", "numbers"),
    [
        ((0, 0, 1), [0, 0, 1]),
        ((4, 5, 5, 6), [4, 5, 5, 6]),
        ((1, 3), [1, 3]),  # nothing of this playlist in era 2: others had something
        ((), []),
    ],
)
def test_an_era_is_its_discontinuity_sequence_number(eras, numbers):
    text = media_playlist(Playlist(2, 0, segments(*eras)))
    assert [segment.discontinuity for segment in check_media(text).segments] == numbers


def test_what_has_ended_says_so():
    assert media_playlist(Playlist(2, 0, segments(0), ended=True)).endswith("#EXT-X-ENDLIST\n")


def test_a_window_that_slides_over_a_change_of_eras_stays_true():
    every = segments(0, 0, 1, 1, 1, 2)
    texts = [media_playlist(Playlist(2, at, every[at : at + 2])) for at in range(5)]
    for before, after in itertools.pairwise(texts):
        check_update(before, after)


def test_a_master_playlist():
    variants = [
        Variant("v.m3u8", 900_000, 700_000, ("avc1.64001f", "mp4a.40.2"), 1280, 720, 29.97, sound=True),
        Variant("v360.m3u8", 500_000, 400_000, ("avc1.64001e", "mp4a.40.2"), 640, 360, sound=True),
    ]
    assert master_playlist(variants, Rendition("a.m3u8", 2)).splitlines()[3:] == [
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a.m3u8"',
        (
            '#EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=700000,CODECS="avc1.64001f,mp4a.40.2",'
            'RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="audio"'
        ),
        "v.m3u8",
        (
            '#EXT-X-STREAM-INF:BANDWIDTH=500000,AVERAGE-BANDWIDTH=400000,CODECS="avc1.64001e,mp4a.40.2",'
            'RESOLUTION=640x360,AUDIO="audio"'
        ),
        "v360.m3u8",
    ]


def test_sound_alone_is_a_variant_of_its_own():
    text = master_playlist([Variant("a.m3u8", 130_000, 128_000, ("mp4a.40.2",))])
    assert text.splitlines()[3:] == [
        '#EXT-X-STREAM-INF:BANDWIDTH=130000,AVERAGE-BANDWIDTH=128000,CODECS="mp4a.40.2"',
        "a.m3u8",
    ]


def test_times_are_rounded_to_milliseconds():
    assert iso_time(1.9996) == "1970-01-01T00:00:02.000Z"
