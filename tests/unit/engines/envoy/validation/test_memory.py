"""What is remembered of verdicts."""

from marchproxy.engines.envoy.validation.memory import Memory

A, B, C = b"a", b"b", b"c"


def test_what_has_a_verdict_is_known() -> None:
    memory = Memory()
    memory.pass_([A])
    memory.refuse(B, "because")
    assert memory.unknown([A, B, C]) == {C}
    assert (memory.reason(A), memory.reason(B), memory.reason(C)) == (None, "because", None)


def test_another_judge_knows_nothing() -> None:
    memory = Memory()
    memory.of("envoy 1")
    memory.pass_([A])
    memory.refuse(B, "because")
    memory.of("envoy 1")
    assert memory.unknown([A, B]) == set()
    memory.of("envoy 2")
    assert memory.unknown([A, B]) == {A, B}


def test_it_is_bounded_and_forgets_what_was_not_asked_for_longest() -> None:
    memory = Memory(2)
    memory.pass_([A])
    memory.pass_([B])
    assert memory.unknown([A]) == set()
    memory.pass_([C])
    assert memory.unknown([A, B, C]) == {B}


def test_as_much_as_is_asked_at_once_is_kept() -> None:
    memory = Memory(1)
    memory.pass_([A, B, C])
    assert memory.unknown([A, B, C]) == set()


def test_refusals_are_bounded() -> None:
    memory = Memory()
    for number in range(2_000):
        memory.refuse(str(number).encode(), "no")
    assert memory.reason(b"0") is None
    assert memory.reason(b"1999") == "no"
