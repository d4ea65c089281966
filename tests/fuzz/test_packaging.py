"""Whatever an encoder sends: a codec's record is read or a fault, and what is packaged of it is sound."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.modules.rtmp.packaging.frames import AUDIO, VIDEO
from marchproxy.modules.rtmp.packaging.intake import Intake
from marchproxy.modules.rtmp.packaging.listing import MANIFEST, MASTER, manifest, playlists
from marchproxy.modules.rtmp.packaging.memory import read_shelf, write_shelf
from marchproxy.modules.rtmp.packaging.running import Pace
from marchproxy.modules.rtmp.packaging.segmenter import Segmenter
from marchproxy.modules.rtmp.packaging.shelf import Shelf
from marchproxy.modules.rtmp.playback.asked import read_url
from marchproxy.wire.codecs import vp9
from marchproxy.wire.codecs.readers import BY_CONFIG, BY_FRAME
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp import message
from marchproxy.wire.rtmp.message import Message
from tests.cmaf import boxes
from tests.manifests import check_manifest
from tests.playlists import check_master, check_media
from tests.publisher import CONFIG, NOON

_READERS = [*BY_CONFIG.values(), *BY_FRAME.values(), vp9.frame_size]
#: Beginnings that lead further into the readers than chance would.
_BEGINNINGS = [
    bytes.fromhex(text)
    for text in ("", "0164000dffe1001b67640015", "0101600000009000000000003cf000fcfdf8f800000f01a10001002b4201",
                 "81000c000a0b", "000b8202", "4f70757348656164", "fffb", "0b77", "8249834200", "1190")
]  # fmt: skip


@given(st.sampled_from(_READERS), st.sampled_from(_BEGINNINGS), st.binary(max_size=200))
def test_a_record_is_read_or_a_fault(read, beginning, data):
    with contextlib.suppress(ProtocolFault):
        read(beginning + data)


_HEADS = st.sampled_from([
    (message.VIDEO, b"\x17\1\0\0\0"), (message.VIDEO, b"\x27\1\0\0\x50"), (message.VIDEO, b"\x27\1\xff\xff\xd8"),
    (message.VIDEO, b"\x17\0\0\0\0"), (message.VIDEO, b"\x93avc1"), (message.VIDEO, b"\x90vp09"), (message.VIDEO, b"\x91vp09"),
    (message.AUDIO, b"\xaf\0\x12\x08"), (message.AUDIO, b"\xaf\1"), (message.AUDIO, b"\x2f\xff\xfb\x94\x64"), (message.AUDIO, b""),
])  # fmt: skip
_MESSAGES = st.builds(
    lambda head, time, data: Message(head[0], 1, time, head[1] + data),
    _HEADS,
    st.one_of(st.integers(0, 20_000), st.integers(0, 2**32 - 1)),
    st.binary(max_size=20),
)


@given(st.lists(_MESSAGES, max_size=60), st.integers(0, 3))
def test_what_is_packaged_is_sound(messages, ended):
    intake, segmenter, shelf = Intake(), Segmenter(Pace(2000)), Shelf("s", 5)
    cuts = []
    for number, one in enumerate([CONFIG, *messages]):
        taken = intake.take(one)
        if taken is not None:
            segmenter.set_up(taken.track, taken.record)
            if taken.frame is not None:
                cuts += segmenter.take(taken.track, taken.frame, NOON + number / 10)
    cuts += segmenter.end()
    for cut in cuts:
        assert cut.track in {VIDEO, AUDIO}
        assert cut.samples[0].key
        for _, data in shelf.add(cut):
            assert list(boxes(data))
    shelf.ended = ended == 0
    shelf.trim()
    assert read_shelf(write_shelf(shelf)) == shelf
    for name, text in (playlists(shelf) | manifest(shelf, NOON)).items():
        {MASTER: check_master, MANIFEST: check_manifest}.get(name, check_media)(text)


@given(st.text(max_size=30), st.text(max_size=60).map(lambda text: "/" + text))
def test_any_url_is_read_or_none(host, path):
    read_url(host, path)
