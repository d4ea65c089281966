"""Files of stream keys."""

import pytest

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.policy.stream_keys import StreamKeys, read_stream_keys

FILE = b"""# cameras
live/cam*:s3cret
live/cam1:own:with:colons

  studio/*/a:s3cret
*/*:m\xc3\xa4ster
"""


@pytest.mark.parametrize(
    ("app", "name", "shown", "opens"),
    [
        ("live", "cam7", "s3cret", True),
        ("live", "other", "s3cret", False),
        ("studio/eu", "a", "s3cret", True),  # one key, two patterns
        ("studio/eu", "b", "s3cret", False),
        ("live", "cam1", "own:with:colons", True),
        ("live", "cam2", "own:with:colons", False),
        ("any/thing", "at all", "mäster", True),
        ("live", "cam1", "S3CRET", False),
        ("live", "cam1", "s3cre", False),
        ("live", "cam1", "", False),
        ("live", "cam1", "\ud800", False),
        ("live", "cam1", "x" * 5000, False),
    ],
)
def test_a_key_opens_what_its_patterns_match(app: str, name: str, shown: str, opens: bool) -> None:
    assert read_stream_keys(FILE).open(StreamKey("a.example", app, name), shown) is opens


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"live/cam1", "line 1 is no PATTERN:KEY"),
        (
            b"# ok\n\ncam1:topsecret",
            "line 3 is no PATTERN:KEY with a pattern of app/stream, such as live/cam*:KEY",
        ),
        (b"live/cam1:", "line 1: a key has 1 to 1024 characters"),
        (b"live/cam1:" + b"x" * 1025, "line 1: a key has"),
        (b"live/a:\xff", "is not UTF-8"),
        (b"live/a:ok\r\nlive/b\r\n", "line 2 is no"),
    ],
)
def test_faults_name_the_line_and_no_secret(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        read_stream_keys(content)
    assert str(caught.value).startswith(words)
    assert "topsecret" not in str(caught.value)


def test_a_line_ends_where_a_line_ends() -> None:
    keys = read_stream_keys("live/a:one\u2028two\r\nlive/b:three\r\n".encode())
    assert keys.open(StreamKey("", "live", "a"), "one\u2028two")
    assert keys.open(StreamKey("", "live", "b"), "three")


def test_no_keys_open_nothing() -> None:
    assert not StreamKeys().open(StreamKey("", "live", "a"), "")
    assert not read_stream_keys(b"").open(StreamKey("", "live", "a"), "x")


def test_keys_are_in_no_text_of_it() -> None:
    assert "s3cret" not in repr(read_stream_keys(FILE))
