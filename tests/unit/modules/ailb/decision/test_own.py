"""What is answered here, until Envoy has fetched it."""

from marchproxy.modules.ailb.decision.own import Own, OwnAnswers

SECOND = 1_000_000_000


def test_one_that_is_put_again_counts_once():
    own = OwnAnswers(most_bytes=100)
    for now in (0, 1, 2):
        own.put("a", Own(b"a" * 60), now)
    own.put("b", Own(b"b" * 30), 3)
    assert (len(own), own.get("a"), own.get("b")) == (2, Own(b"a" * 60), Own(b"b" * 30))
    own.put("c", Own(b"c" * 20), 4)
    assert [name for name in "abc" if own.get(name)] == ["b", "c"]


def test_what_nobody_fetches_is_forgotten_in_its_order():
    own = OwnAnswers(seconds=5)
    own.put("a", Own(b"a"), 0)
    own.put("b", Own(b"b"), 1 * SECOND)
    own.put("a", Own(b"a"), 2 * SECOND)
    own.sweep(6 * SECOND + 1)
    assert [name for name in "ab" if own.get(name)] == ["a"]
    own.sweep(7 * SECOND + 1)
    assert len(own) == 0
