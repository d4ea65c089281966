"""Which of several ways says yes, and whose no is told."""

import pytest

from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.modules.rtmp.plan import Way
from marchproxy.modules.rtmp.policy.checking import check
from marchproxy.modules.rtmp.policy.claim import Claim, Refusal
from marchproxy.modules.rtmp.policy.signing import sign
from tests.unit.modules.rtmp.policy.crafted import KEY, SECRET, callback, claim, keys, signed

NOW = 1_800_000_000
GOOD = f"expires={NOW + 9}&signature={sign(SECRET, 'publish', KEY.text, NOW + 9)}"
OLD = f"expires={NOW - 9}&signature={sign(SECRET, 'publish', KEY.text, NOW - 9)}"
SAID_NO = Refusal("denied", "service does not allow it")


class Service:
    def __init__(self, answer: Refusal | None) -> None:
        self.answer = answer
        self.asked: list[Claim] = []

    async def ask(self, way: Way, asked: Claim) -> Refusal | None:
        assert way.name == "service"
        self.asked.append(asked)
        return self.answer


@pytest.mark.parametrize(
    ("ways", "query", "says", "words", "asked"),
    [
        ((), "", SAID_NO, "", 0),
        ((keys(),), "key=s3cret", SAID_NO, "", 0),
        ((keys(),), "a=b&key=s3cret", SAID_NO, "", 0),
        ((keys(),), "key=wrong&key=s3cret", SAID_NO, "the key is none of this stream", 0),
        ((keys(),), "", SAID_NO, "no key was shown", 0),
        ((keys(),), "key=", SAID_NO, "the key is none of this stream", 0),
        ((signed(),), GOOD, SAID_NO, "", 0),
        ((signed(),), OLD, SAID_NO, "the token ended at 2027-01-15 07:59:51 UTC", 0),
        ((keys(), signed()), GOOD, SAID_NO, "", 0),
        ((keys(), signed()), OLD, SAID_NO, "the token ended at 2027-01-15 07:59:51 UTC", 0),
        ((keys(), signed()), "", SAID_NO, "no key was shown", 0),
        ((callback(), keys()), "key=s3cret", SAID_NO, "", 0),  # nobody is asked about what is known
        ((callback(), keys()), "key=wrong", None, "", 1),
        ((callback(), keys()), "", SAID_NO, "service does not allow it", 1),
        ((Way(Authentication("empty", AuthenticationKind.SIGNED)),), GOOD, None, "nobody here can check who may", 0),
        ((Way(Authentication("empty", AuthenticationKind.STREAM_KEYS)),), "key=", None, "the key is none of this stream", 0),
        ((Way(Authentication("other", AuthenticationKind.BASIC)),), GOOD, None, "nobody here can check who may", 0),
    ],
)  # fmt: skip
async def test_one_way_must_succeed(
    ways: tuple[Way, ...], query: str, says: Refusal | None, words: str, asked: int
) -> None:
    service = Service(says)
    refusal = await check(ways, claim(query), service.ask, now=NOW)
    assert (refusal.words if refusal else "") == words
    assert service.asked == [claim(query)] * asked


def test_what_is_shown_is_in_no_text() -> None:
    assert "s3cret" not in repr(claim("key=s3cret"))
    assert "s3cret" not in repr(keys())
    assert SECRET.decode() not in repr(signed())
