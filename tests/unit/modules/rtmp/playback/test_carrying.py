import pytest

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.playback.audience import Audience
from marchproxy.modules.rtmp.playback.carrying import carry

PLAYLIST = '#EXTM3U\n#EXT-X-MAP:URI="s-v-0.mp4"\n#EXTINF:2.000,\ns-v-1.m4s\n'
MANIFEST = '<SegmentTemplate initialization="s-v-0.mp4" media="s-v-$Number$.m4s" startNumber="1">'


def test_a_token_goes_with_everything_that_a_playlist_names():
    assert carry(PLAYLIST, "expires=1&signature=ab", playlist=True) == (
        '#EXTM3U\n#EXT-X-MAP:URI="s-v-0.mp4?expires=1&signature=ab"\n#EXTINF:2.000,\n'
        "s-v-1.m4s?expires=1&signature=ab\n"
    )


def test_a_token_goes_with_everything_that_a_manifest_names():
    assert carry(MANIFEST, "a=1&b=$x", playlist=False) == (
        '<SegmentTemplate initialization="s-v-0.mp4?a=1&amp;b=$$x" '
        'media="s-v-$Number$.m4s?a=1&amp;b=$$x" startNumber="1">'
    )


@pytest.mark.parametrize("query", ["", 'a="b', "a=<b", "a=b\nc", "a b", "ä"])
def test_what_is_no_query_goes_nowhere(query):
    assert carry(PLAYLIST, query, playlist=True) == PLAYLIST
    assert carry(MANIFEST, query, playlist=False) == MANIFEST


def test_viewers_are_who_asked_of_late():
    audience, one, two = Audience(30), StreamKey("", "a", "1"), StreamKey("", "a", "2")
    for viewer, at in (("x", 0), ("y", 10), ("x", 20)):
        audience.note(one, viewer, at)
    audience.note(two, "x", 0)
    assert (audience.count(one), audience.count(two)) == (2, 1)
    assert audience.sweep(31) == [one]
    assert (audience.count(one), audience.count(two)) == (2, 0)
    assert audience.sweep(45) == [one]
    assert audience.count(one) == 1
