"""Whatever a client says, in whatever pieces: it is answered the same, or it has broken the protocol; nothing grows without end."""

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.modules.rtmp.handing.handed import PREFIX, Garbled, length_of, read_who
from marchproxy.modules.rtmp.session.dialogue import MOST_RECORDED, Dialogue
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import control, requests
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.message import Message
from tests.unit.modules.rtmp.session.crafted import PLAYER, PUBLISHER, Speaker, connect, create, key, sound

NAMES = [
    "connect",
    "createStream",
    "publish",
    "play",
    *requests.ANNOUNCEMENTS,
    "_checkbw",
    "getStreamLength",
    "deleteStream",
    "x",
]
TEXTS = st.text(max_size=20) | st.sampled_from(["a", "live", "a?key=b", "../a", "rtmp://h/live"])
VALUES = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | TEXTS
    | st.just({"app": "live"})
    | st.dictionaries(TEXTS, TEXTS, max_size=3)
)
COMMANDS = st.builds(
    Command, st.sampled_from(NAMES), st.integers(0, 9).map(float), VALUES, st.tuples(VALUES, VALUES)
)
#: No windows, for where an acknowledgement comes depends on how bytes do.
MESSAGES = st.builds(
    Message,
    st.sampled_from([2, 3, 4, 6, 8, 9, 15, 17, 18, 20, 22, 99]),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=200),
)
LIKELY = st.sampled_from(
    [connect(), create(), control.set_chunk_size(300), *PLAYER, *PUBLISHER, key(), sound()]
)
SAID = st.lists(LIKELY | COMMANDS | MESSAGES, max_size=12)
CUTS = st.lists(st.integers(1, 400), max_size=30)


class Told:
    """What becomes of a client whose wish is granted as soon as it has one."""

    def __init__(self) -> None:
        self.dialogue, self.passed, self.answered, self.fault = Dialogue(window=2**31), [], b"", ""

    def feed(self, data: bytes) -> None:
        try:
            self.passed += self.dialogue.feed(data)
            self.answered += self.dialogue.take_out()
            if self.dialogue.wish is not None and not self.dialogue.granted:
                self.passed += self.dialogue.grant()
                self.answered += self.dialogue.take_out()
        except ProtocolFault as fault:
            self.fault = str(fault)


def whole(data: bytes) -> Told:
    told = Told()
    told.feed(data)
    return told


def in_pieces(data: bytes, cuts: list[int]) -> Told:
    told, at = Told(), 0
    for size in [*cuts, len(data)]:
        if not told.fault and at < len(data):
            told.feed(data[at : at + size])
            at += size
    return told


@given(SAID, CUTS)
def test_pieces_make_no_difference(said, cuts):
    data = Speaker().says(*said)
    one, other = whole(data), in_pieces(data, cuts)
    assert one.fault == other.fault
    assert one.dialogue.wish == other.dialogue.wish
    if not one.fault:
        assert one.answered == other.answered
        assert one.passed == other.passed


@given(st.binary(max_size=3000), CUTS, st.booleans())
def test_any_bytes(data, cuts, is_connected):
    start = Speaker().says(connect()) if is_connected else b""
    one, other = whole(start + data), in_pieces(start + data, cuts)
    assert bool(one.fault) == bool(other.fault)
    assert len(one.dialogue.recorded) <= MOST_RECORDED
    assert len(one.answered) <= 400 + 20 * len(data)


@given(st.binary(max_size=600))
def test_what_workers_tell_each_other(data):
    try:
        size = length_of(data[:PREFIX])
        read_who(data[PREFIX : PREFIX + size])
    except Garbled:
        pass
