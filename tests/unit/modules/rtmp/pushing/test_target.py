import pytest

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.pushing.target import Target, target_of

_KEY = StreamKey("tv.example", "live/eu", "cam1")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("rtmp://a.example/app/s", Target("a.example", 1935, secure=False, app="app", name="s")),
        ("rtmps://a.example/app/s", Target("a.example", 443, secure=True, app="app", name="s")),
        (
            "rtmp://[2001:db8::1]:19/x/y/s?key=1",
            Target("2001:db8::1", 19, secure=False, app="x/y", name="s?key=1"),
        ),
        (
            "rtmp://a.example/{vhost}/{app}/{stream}-copy?of={stream}",
            Target("a.example", 1935, secure=False, app="tv.example/live/eu", name="cam1-copy?of=cam1"),
        ),
    ],
)
def test_where_a_copy_goes(url: str, target: Target) -> None:
    assert target_of(url, _KEY) == target


def test_what_stands_in_a_name_is_not_replaced() -> None:
    key = StreamKey("", "live", "{app}")
    assert target_of("rtmp://a.example/x/{stream}", key).name == "{app}"


def test_how_a_target_is_called() -> None:
    target = target_of("rtmp://[2001:db8::1]/app/s?key=secret", _KEY)
    assert target.place == "[2001:db8::1]:1935"
    assert target.tc_url == "rtmp://[2001:db8::1]:1935/app"
