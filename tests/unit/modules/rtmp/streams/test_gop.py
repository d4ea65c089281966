import pytest

from marchproxy.modules.rtmp.streams.batch import NO_ENTRY, Batch, read_chunks
from marchproxy.modules.rtmp.streams.gop import GopCache
from marchproxy.wire.rtmp.message import Message
from marchproxy.wire.rtmp.preface import Preface
from tests.unit.modules.rtmp.streams.crafted import inter, key, media, sound


def _batch(*messages: Message, entry: int = NO_ENTRY, written: bool = False) -> Batch:
    batch = Batch(messages, sum(len(one.payload) for one in messages), entry, Preface())
    assert not written or batch.data
    return batch


def _read(cache: GopCache) -> list[tuple[int, bytes]]:
    assert cache.read() == cache.read()
    return media(read_chunks(cache.read()))


@pytest.mark.parametrize("written", [False, True])  # whether there were players before
def test_it_begins_with_the_last_keyframe(*, written: bool) -> None:
    cache = GopCache(1000)
    cache.add(_batch(inter(0), written=written))
    assert _read(cache) == []
    cache.add(_batch(sound(20), key(40), written=written, entry=1))
    cache.add(_batch(inter(80)))
    cache.add(_batch(sound(80), inter(120), written=written))
    assert _read(cache) == media([key(40), inter(80), sound(80), inter(120)])
    assert cache.time == 40
    cache.add(_batch(inter(160)))
    assert _read(cache) == media([key(40), inter(80), sound(80), inter(120), inter(160)])
    cache.add(_batch(key(200), written=written, entry=0))
    assert (_read(cache), cache.time) == (media([key(200)]), 200)
    assert 0 < cache.size < 200


def test_what_is_too_large_is_not_kept_until_the_next_keyframe() -> None:
    cache = GopCache(300)
    cache.add(_batch(key(0), entry=0))
    cache.add(_batch(inter(40)))
    assert _read(cache) == media([key(0), inter(40)])
    cache.add(_batch(sound(40)))
    assert (_read(cache), cache.size) == ([], 0)
    cache.add(_batch(inter(80)))
    assert _read(cache) == []
    cache.add(_batch(key(120), entry=0))
    assert _read(cache) == media([key(120)])


def test_nothing_may_be_kept() -> None:
    cache = GopCache(0)
    cache.add(_batch(key(0), entry=0))
    assert (_read(cache), cache.size) == ([], 0)
