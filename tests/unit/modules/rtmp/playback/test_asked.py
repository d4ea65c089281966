import pytest

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.playback.asked import Asked, read_url


@pytest.mark.parametrize(
    ("host", "path", "key", "file"),
    [
        ("a.example", "/live/one/index.m3u8", StreamKey("a.example", "live", "one"), "index.m3u8"),
        ("A.Example:8088", "/live/one/manifest.mpd", StreamKey("a.example", "live", "one"), "manifest.mpd"),
        ("[::1]:8088", "/live/eu/one/v.m3u8", StreamKey("::1", "live/eu", "one"), "v.m3u8"),
        ("", "/live/one/time", StreamKey("", "live", "one"), "time"),
        ("h", "/live/ä b/18a-v720-12.m4s", StreamKey("h", "live", "ä b"), "18a-v720-12.m4s"),
    ],
)
def test_a_url_names_a_file_of_a_stream(host, path, key, file):
    assert read_url(host, path) == Asked(key, file)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/index.m3u8",
        "/one/index.m3u8",
        "//one/index.m3u8",
        "/live//index.m3u8",
        "/live/../index.m3u8",
        "/live/../../etc/index.m3u8",
        "/live/one/shelf.json",
        "/live/one/",
        "/live/one/.index.m3u8.x1",
        "/live/one/18a-v-1.mp4.tmp",
        "/live/one/18a-v-1.m4s\n",
        "/live/one\0/index.m3u8",
        "/live/one/../two/index.m3u8",
        "/live/" + "n" * 257 + "/index.m3u8",
    ],
)
def test_what_could_not_be_here_is_none(path):
    assert read_url("h", path) is None


@pytest.mark.parametrize(
    ("file", "media_type", "segment", "playlist"),
    [
        ("index.m3u8", "application/vnd.apple.mpegurl", False, True),
        ("manifest.mpd", "application/dash+xml", False, False),
        ("18a-v720-1.m4s", "video/mp4", True, False),
        ("18a-v-0.mp4", "video/mp4", True, False),
        ("18a-a-1.m4s", "audio/mp4", True, False),
        ("time", "text/plain", False, False),
    ],
)
def test_what_files_are(file, media_type, segment, playlist):
    asked = Asked(StreamKey("", "a", "b"), file)
    assert (asked.media_type, asked.is_segment, asked.is_playlist) == (media_type, segment, playlist)
