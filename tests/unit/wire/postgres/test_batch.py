"""Batches that are told in one look."""

import pytest

from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.batch import name_in, read_batch, renamed

PARSE = encode.parse(b"", b"select $1\0\0\0")
DESCRIBE, EXECUTE = encode.message(b"D", b"P\0"), encode.message(b"E", b"\0\0\0\0\0")
END = EXECUTE + encode.SYNC


def bind(name: bytes, portal: bytes = b"", value: bytes = b"7") -> bytes:
    values = b"\0\1" + len(value).to_bytes(4) + value
    return encode.message(b"B", portal + b"\0" + name + b"\0\0\0" + values + b"\0\0")


@pytest.mark.parametrize(
    ("data", "bind_at", "name", "described"),
    [
        (PARSE + bind(b"") + DESCRIBE + END, len(PARSE), b"", True),
        (PARSE + bind(b"") + END, len(PARSE), b"", False),
        (bind(b"") + END, 0, b"", False),
        (bind(b"s1") + END, 0, b"s1", False),
        (bind(b"s1") + DESCRIBE + END, 0, b"s1", True),
        (bind(b"s1", value=DESCRIBE + END) + DESCRIBE + END, 0, b"s1", True),
        (bind(b"s1", value=DESCRIBE) + END, 0, b"s1", False),
    ],
)
def test_what_it_is(data, bind_at, name, described):
    batch = read_batch(data)
    assert batch is not None
    assert (batch[0], name_in(data, batch), batch[-1]) == (bind_at, name, described)


@pytest.mark.parametrize("called", [b"", b"mp1", b"mp12345"])
@pytest.mark.parametrize("middle", [b"", DESCRIBE])
def test_another_name(called, middle):
    data = bind(b"s1") + middle + END
    batch = read_batch(data)
    assert batch is not None
    assert renamed(data, batch, called) == bind(called) + middle + END


WHOLE = PARSE + bind(b"") + DESCRIBE + END


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode.SYNC,
        END,
        DESCRIBE + END,
        PARSE + END,
        encode.parse(b"s", b"select $1\0\0\0") + bind(b"s") + END,  # a name of its own
        PARSE + bind(b"s") + END,
        PARSE + bind(b"", portal=b"p") + END,
        bind(b"s", portal=b"p") + END,
        bind(b"s") + bind(b"t") + END,
        bind(b"s") + EXECUTE + END,
        bind(b"s") + encode.message(b"D", b"Ss\0") + END,
        bind(b"s") + DESCRIBE + DESCRIBE + END,
        bind(b"s") + encode.message(b"E", b"\0\0\0\0\5") + encode.SYNC,  # five rows
        bind(b"s") + END + encode.SYNC,
        encode.SYNC + bind(b"s") + END,
        bind(b"s")[:-1] + END,  # it is longer than it says
        bind(b"s", value=END),  # the end is a value
        encode.message(b"B", b"\0s") + END,
        b"P\0\0\0\4" + bind(b"") + END,
        b"P\xff\xff\xff\xff\0" + bind(b"") + END,
        b"B\xff\xff\xff\xff\0\0" + END,
        b"B\0\0\0\0\0\0" + END,
        *(WHOLE[:size] for size in range(1, len(WHOLE))),
        *(WHOLE[start:] for start in range(1, len(PARSE))),
    ],
)
def test_what_it_is_not(data):
    assert read_batch(data) is None
