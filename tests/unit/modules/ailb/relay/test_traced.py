"""What a relay tells behind an answer, for a span."""

import pytest

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.relay.traced import is_traced, trailers
from marchproxy.wire.http2.unpacking import Unpacker

TRACED = {b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
BROKEN = Failure(Reason.BAD_ANSWER, "it broke off")


@pytest.mark.parametrize(
    ("usage", "pieces", "failure", "told"),
    [
        (Usage(7, 3), 3, None, {"input": "7", "output": "3"}),
        (Usage(7, 1), 5, BROKEN, {"input": "7", "output": "5", "error": "bad_answer"}),
        (None, 4, None, {"output": "4"}),
        (Usage(7), None, None, {"input": "7"}),
        (None, None, None, {}),
    ],
)
def test_what_is_known_is_told(usage, pieces, failure, told):
    names = {
        "input": "x-marchproxy-input-tokens",
        "output": "x-marchproxy-output-tokens",
        "error": "x-marchproxy-error",
    }
    found = Unpacker(4096, 65_536).decode(trailers(TRACED, usage, pieces, failure))
    assert found == [(names[name].encode(), value.encode()) for name, value in told.items()]
    assert trailers({}, usage, pieces, failure) == b""


@pytest.mark.parametrize(
    ("context", "traced"),
    [(b"00-a-b-01", True), (b"00-a-b-ff", True), (b"00-a-b-00", False), (b"00-a-b-zz", False), (b"1", False), (b"", False)],
)  # fmt: skip
def test_who_is_not_traced_is_told_nothing(context, traced):
    assert is_traced(context) is traced
