"""Units: where requests end, and what is nothing but notices."""

import pytest

from marchproxy.modules.dblb.postgres.requests import INTERESTS
from marchproxy.modules.dblb.postgres.routing.units import are_notices, first_of, is_whole
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.framing import Framer

READ = encode.query("select 1")
EXTENDED = encode.message(b"B", b"\0\0\0\0\0\0\0\0") + encode.message(b"E", b"\0\0\0\0\0")
NOTICE = b"N\0\0\0\6x\0"


@pytest.mark.parametrize(
    ("data", "first", "whole"),
    [
        (READ, READ, True),
        (READ + READ, READ, True),
        (EXTENDED + encode.SYNC + READ, EXTENDED + encode.SYNC, True),
        (READ + EXTENDED, READ, False),
        (EXTENDED, EXTENDED, False),
        (b"", b"", False),
    ],
)
def test_the_first_request_and_the_rest(data, first, whole):
    unit = Framer(INTERESTS, longest=1 << 20).feed(data)
    assert is_whole(unit) is whole
    head, rest = first_of(unit)
    assert head[0] == first
    assert (rest[0] if rest is not None else b"") == data[len(first) :]
    if rest is not None:
        assert rest == Framer(INTERESTS, longest=1 << 20).feed(data[len(first) :])


@pytest.mark.parametrize(
    ("words", "only"),
    [
        (b"", True),
        (NOTICE, True),
        (NOTICE * 3, True),
        (NOTICE + encode.ready(ord("I")), False),
        (encode.ready(ord("I")), False),
        (NOTICE[:-1], False),
        (NOTICE[:3], False),
    ],
)
def test_notices(words, only):
    assert are_notices(words) is only
