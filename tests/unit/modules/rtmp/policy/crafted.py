"""Ways to authenticate, and claims by them; and what workers count in."""

from typing import Any

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.limits.table import LimitTable
from marchproxy.modules.rtmp.plan import Way
from marchproxy.modules.rtmp.policy.claim import Claim
from marchproxy.modules.rtmp.policy.stream_keys import read_stream_keys
from marchproxy.modules.rtmp.session.roles import Action

KEY = StreamKey("live.example", "live", "cam1")
SECRET = b"0123456789abcdef"


class SharedTable(LimitTable):
    """As workers of other processes have it: files are a process's, see there."""

    def close(self) -> None:
        pass


def keys(content: bytes = b"live/*:s3cret") -> Way:
    return Way(Authentication("keys", AuthenticationKind.STREAM_KEYS, "f"), keys=read_stream_keys(content))


def signed() -> Way:
    return Way(Authentication("tokens", AuthenticationKind.SIGNED, "f"), SECRET)


def callback(url: str = "http://nowhere.invalid/", **more: Any) -> Way:
    return Way(Authentication("service", AuthenticationKind.CALLBACK, url=url, **more))


def claim(query: str = "", action: Action = Action.PUBLISH, key: StreamKey = KEY) -> Claim:
    return Claim(action, key, query, "192.0.2.1")
