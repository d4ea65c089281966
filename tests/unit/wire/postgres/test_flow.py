"""What a server owes, and when it is free for somebody else."""

import pytest

from marchproxy.wire.postgres.flow import Desynchronised, Flow, Owed

IDLE = ord("I")
REQUESTS = {
    "Q": Owed.QUERY, "F": Owed.CALL, "S": Owed.SYNC, "P": Owed.PARSE, "B": Owed.BIND, "DS": Owed.DESCRIBE_STATEMENT,
    "DP": Owed.DESCRIBE_PORTAL, "C": Owed.CLOSE, "E": Owed.EXECUTE, "(P)": Owed.SILENT_PARSE, "(C)": Owed.SILENT_CLOSE,
    "[P]": Owed.GIVEN_PARSE, "[C]": Owed.GIVEN_CLOSE,
}  # fmt: skip


def play(story: str) -> tuple[Flow, str]:
    """`>P` sends, `<1` receives, `Z` with a status is ready, `>c` ends a copy; returns what the client saw."""
    flow, seen = Flow(), []
    for word in story.split():
        match word[0], word[1:]:
            case ">", "c":
                flow.copy_ended()
            case ">", request:
                flow.sent(REQUESTS[request])
            case "<", answer if answer[0] == "Z":
                flow.ready(ord(answer[1]))
                seen.append("Z")
            case "<", answer:
                if flow.received(ord(answer)):
                    seen.append(answer)
        seen += [f"[{owed.name[6]}]" for owed, _ in flow.given()]
    return flow, " ".join(seen)


@pytest.mark.parametrize(
    ("story", "free", "seen"),
    [
        ("", True, ""),
        (">Q", False, ""),
        (">Q <T <C <ZI", True, "T C Z"),
        (">Q <C <ZT", False, "C Z"),
        (">Q <E <ZE", False, "E Z"),
        (">Q <E <ZI", True, "E Z"),
        (">Q >Q <C <ZI", False, "C Z"),
        (">Q >Q <C <ZI <C <ZI", True, "C Z C Z"),
        (">P >B >DP >E >S <1 <2 <T <C <ZI", True, "1 2 T C Z"),
        (">P >B >DP >E <1 <2 <n <C", False, "1 2 n C"),  # nobody said Sync
        (">P >DS >S <1 <t <n <ZI", True, "1 t n Z"),
        (">B >E >S <2 <s <ZT >E >S <C <ZI", True, "2 s Z C Z"),  # a suspended portal
        # a failure skips everything up to Sync, what was sent before it and what comes after
        (">P >B >E >S <E <ZI", True, "E Z"),
        (">P >B <E >E >Q >S <ZI", True, "E Z"),
        (">P >S >P >S <E <ZI <1 <ZI", True, "E Z 1 Z"),
        # what the client did not ask for, and what the server is not asked
        (">(P) >B >E >S <1 <2 <C <ZI", True, "2 C Z"),
        (">[P] >B >E >S <2 <C <ZI", True, "[P] 2 C Z"),
        (">P >[C] >B >S <1 <2 <ZI", True, "1 [C] 2 Z"),
        (">(C) >(P) >P >S <3 <1 <1 <ZI", True, "1 Z"),
        (">P >[P] >S <E <ZI", True, "E Z"),  # a given answer is skipped like any other
        # rows from the client
        (">Q <G", False, "G"),
        (">Q <G >c", False, "G"),
        (">Q <G >c <C <ZI", True, "G C Z"),
        (">Q <G <E <ZI >c", True, "G E Z"),
        (">P >B >E >S <1 <2 <G >c >S <C <ZI", True, "1 2 G C Z"),  # the first Sync is ignored
        (">P >B >E <1 <2 <G >S >c >S <C <ZI", True, "1 2 G C Z"),
        # rows to the client
        (">Q <H <C <ZI", True, "H C Z"),
    ],
)
def test_stories(story, free, seen):
    flow, got = play(story)
    assert got == seen
    assert flow.free is free


@pytest.mark.parametrize(
    "story", ["<1", "<ZI", "<C", ">P <2", ">P <ZI", ">B >S <1", ">Q <1", ">Q <C <ZI <ZI", ">E >S <3", ">S <2"]
)
def test_an_answer_that_nobody_asked_for(story):
    with pytest.raises(Desynchronised):
        play(story)


def test_a_transaction_keeps_the_server():
    flow, _ = play(">Q <C <ZT >Q <C <ZT")
    assert not flow.free
    flow.sent(Owed.QUERY)
    flow.ready(IDLE)
    assert flow.free
