from marchproxy.modules.rtmp.streams.batch import NO_ENTRY, Batch
from marchproxy.modules.rtmp.streams.gop import GopCache


def _batch(data: bytes, entry: int = NO_ENTRY, time: int = 0) -> Batch:
    return Batch((), data, entry, 0, time)


def test_it_begins_with_the_last_keyframe() -> None:
    cache = GopCache(100)
    cache.add(_batch(b"not yet"))
    assert cache.read() == b""
    for batch in (_batch(b"xxKEY", 2, 40), _batch(b"-a"), _batch(b"-b")):
        cache.add(batch)
    assert (cache.read(), cache.size, cache.time) == (b"KEY-a-b", 7, 40)
    cache.add(_batch(b"-c"))
    assert cache.read() == cache.read() == b"KEY-a-b-c"
    cache.add(_batch(b"NEXT", 0, 80))
    assert (cache.read(), cache.size, cache.time) == (b"NEXT", 4, 80)


def test_what_is_too_large_is_not_kept_until_the_next_keyframe() -> None:
    cache = GopCache(6)
    cache.add(_batch(b"KEY", 0))
    cache.add(_batch(b"abc"))
    assert cache.read() == b"KEYabc"
    cache.add(_batch(b"d"))
    assert (cache.read(), cache.size) == (b"", 0)
    cache.add(_batch(b"e"))
    assert cache.read() == b""
    cache.add(_batch(b"NEXT", 0))
    assert cache.read() == b"NEXT"


def test_nothing_may_be_kept() -> None:
    cache = GopCache(0)
    cache.add(_batch(b"KEY", 0))
    assert (cache.read(), cache.size) == (b"", 0)
