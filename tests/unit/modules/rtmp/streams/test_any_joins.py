"""Whoever joins whenever gets frames without a gap, each behind the configuration that the publisher said before it, once."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.rtmp.streams.live import LiveStream
from marchproxy.modules.rtmp.streams.player import Player
from marchproxy.modules.rtmp.streams.publisher import Publisher
from marchproxy.modules.rtmp.tally import Tally
from marchproxy.wire.rtmp.media import is_keyframe, is_lasting
from marchproxy.wire.rtmp.message import VIDEO, Message
from tests.unit.modules.rtmp.streams.crafted import (
    AVC_CONFIG,
    KEY,
    FakeClient,
    audio_config,
    inter,
    key,
    plan,
    sound,
)

_KINDS = ("config", "audio config", "key", "inter", "sound")
#: What is read at once; players come before each read, one more than there are reads.
_READS = st.lists(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=6), min_size=1, max_size=8)


class _Registry:
    def began(self, stream: LiveStream) -> None: ...

    def ended(self, stream: LiveStream) -> None: ...


def _message(kind: str, number: int) -> Message:
    time, mark = number * 10, bytes((number,))
    match kind:
        case "config":
            return Message(VIDEO, 1, time, AVC_CONFIG + mark)
        case "audio config":
            return audio_config(time)
        case "key":
            return key(time, mark)
        case "inter":
            return inter(time, mark)
        case _:
            return sound(time, mark)


def _is_config(message: Message) -> bool:
    return is_lasting(message.type, message.payload)


def _told(messages: Sequence[Message]) -> list[tuple[bytes, list[bytes]]]:
    """Each frame, behind the configurations that were last said before it."""
    now: dict[int, bytes] = {}
    found = []
    for message in messages:
        if _is_config(message):
            now[message.type] = message.payload
        else:
            found.append((message.payload, [now[kind] for kind in sorted(now)]))
    return found


@settings(max_examples=300, deadline=None)
@given(_READS, st.sampled_from([0, 100_000]))
def test_any_joins(reads: list[list[str]], gop_cache: int) -> None:
    stream = LiveStream(KEY, plan(gop_cache=gop_cache), Tally(), registry=_Registry(), clock=VirtualClock())
    numbers = iter(range(256))
    published = [[_message(kind, next(numbers)) for kind in read] for read in reads]
    players = [FakeClient().serve(Player(stream))]
    publisher = FakeClient().serve(Publisher(stream))
    assert publisher.role is not None
    for messages in published:
        publisher.role.messages(messages)
        players.append(FakeClient().serve(Player(stream)))
    expected = _told([one for messages in published for one in messages])
    for player in players:
        got = player.take()
        frames = _told(got)
        shown = [one for one in expected if one[0] not in _before_any_key(published)]
        assert frames == shown[len(shown) - len(frames) :]
        assert frames or "key" not in reads[-1] or player is players[-1]
        configs = [one.payload for one in got if _is_config(one) and one.type == VIDEO]
        assert len(set(configs)) == len(configs)


def _before_any_key(published: Sequence[Sequence[Message]]) -> set[bytes]:
    """Frames of video that nobody can show."""
    found = set()
    for message in (one for messages in published for one in messages):
        if is_keyframe(message.type, message.payload):
            break
        if message.type == VIDEO:
            found.add(message.payload)
    return found
