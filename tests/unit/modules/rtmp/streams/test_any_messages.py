"""Whatever a publisher sends, players get chunks that can be read, and times that do not go back by more than tracks do."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.rtmp.streams.live import LiveStream
from marchproxy.modules.rtmp.streams.player import Player
from marchproxy.modules.rtmp.streams.publisher import Publisher
from marchproxy.modules.rtmp.tally import Tally
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.media import is_lasting
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message, Type, elapsed
from tests.unit.modules.rtmp.streams.crafted import AAC_CONFIG, AVC_CONFIG, KEY, FakeClient, plan

_BEGINNINGS = [
    b"\x17\x01\0\0\0",
    b"\x27\x01\0\0\0",
    b"\xaf\x01",
    AVC_CONFIG,
    AAC_CONFIG,
    b"\x96\x01avc1\0",
    b"\x80",
    b"",
]
_PAYLOADS = st.builds(bytes.__add__, st.sampled_from(_BEGINNINGS), st.binary(max_size=30))
_MESSAGES = st.builds(
    Message,
    st.sampled_from([AUDIO, VIDEO, *map(int, Type)]),
    st.integers(0, 3),
    st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1)),
    _PAYLOADS,
)
#: Milliseconds by which audio and video may be out of step.
_APART = 5000
#: A read's messages, and the seconds until it came.
_READS = st.tuples(st.lists(_MESSAGES, max_size=5), st.floats(0, 40))


class _Registry:
    def began(self, stream: LiveStream) -> None: ...

    def ended(self, stream: LiveStream) -> None: ...


@settings(max_examples=300, deadline=None)
@given(st.lists(_READS, max_size=12))
def test_any_messages(reads: list[tuple[list[Message], float]]) -> None:
    clock = VirtualClock()
    stream = LiveStream(KEY, plan(gop_cache=2000), Tally(), registry=_Registry(), clock=clock)
    players = [FakeClient().serve(Player(stream))]
    publisher = FakeClient().serve(Publisher(stream))
    assert publisher.role is not None
    seen: list[Message] = []
    for messages, seconds in reads:
        clock.advance(seconds)
        stream.sweep()
        if not stream.is_live:
            break
        try:
            publisher.role.messages(messages)
        except ProtocolFault:
            break
        players.append(FakeClient().serve(Player(stream)))
        seen += players[0].take()
        for player in players[1:]:
            assert {one.stream_id for one in player.take()} <= {1}
    times = [
        one.timestamp for one in seen if one.type in {AUDIO, VIDEO} and not is_lasting(one.type, one.payload)
    ]
    assert all(elapsed(before, after) >= -_APART for before, after in pairwise(times))
