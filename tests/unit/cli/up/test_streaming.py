"""What is typed to see that streams work."""

import pytest

from marchproxy.cli.up.streaming import stream_commands
from marchproxy.contract.document.schema import StateDocument
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol

_WAYS = [
    {"name": "asked", "kind": "callback", "url": "http://127.0.0.1/"},
    {"name": "keys", "kind": "stream_keys", "file": "/k"},
    {"name": "signed", "kind": "signed", "file": "/s"},
]
_WHERE = HostPort("127.0.0.1", 80)
_SHOWN = "?expires=SECONDS&signature=HEX"
_PUBLISHED = "ffmpeg -re -i FILE -c copy -f flv"


@pytest.mark.parametrize(
    ("protocol", "rtmp", "commands"),
    [
        (
            Protocol.RTMP,
            None,
            [f'{_PUBLISHED} "rtmp://127.0.0.1:80/live/test"', 'ffplay "rtmp://127.0.0.1:80/live/test"'],
        ),
        (
            Protocol.RTMPS,
            {"apps": ["a*", "b"], "streams": ["c"], "publish": ["asked", "keys"], "play": ["signed"]},
            [
                f'{_PUBLISHED} "rtmps://127.0.0.1:80/b/c?key=KEY"',
                f'ffplay "rtmps://127.0.0.1:80/b/c{_SHOWN}"',
            ],
        ),
        (Protocol.HLS, {}, []),  # nothing is packaged
        (Protocol.HLS, {"packaging": {}}, ['ffplay "http://127.0.0.1:80/live/test/index.m3u8"']),
        (
            Protocol.DASH,
            {"packaging": {}, "play": ["signed"]},
            [f'ffplay "http://127.0.0.1:80/live/test/manifest.mpd{_SHOWN}"'],
        ),
        (Protocol.DASH, {"packaging": {"dash": False}}, []),
    ],
)
def test_commands(protocol: Protocol, rtmp: dict | None, commands: list[str]) -> None:
    routes = [{"id": "web", "path": "/"}, {"id": "live", "protocol": "rtmp", "rtmp": rtmp}]
    document = StateDocument.model_validate({"authentication": _WAYS, "routes": routes})
    assert list(stream_commands(document, protocol, _WHERE)) == commands
