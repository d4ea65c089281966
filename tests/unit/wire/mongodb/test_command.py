"""What is read of commands and answers, whichever way a peer writes them."""

import bson
import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb import message
from marchproxy.wire.mongodb.command import CursorField, cursor_of, has_ended, read_command, refusal_of
from marchproxy.wire.mongodb.framing import HEADER


def op_msg(document, flags=0, tail=b""):
    body = flags.to_bytes(4, "little") + b"\0" + bson.encode(document) + tail
    return HEADER.pack(16 + len(body), 7, 0, 2013) + body


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        ({"firstBatch": [{"id": bson.Int64(1)}], "id": bson.Int64(9), "ns": "a.b.c"}, (9, "a.b.c")),
        ({"ns": "a.b", "id": bson.Int64(9), "nextBatch": []}, (9, "a.b")),
        ({"id": bson.Int64(0), "ns": "a.b"}, (0, "")),
        ({"id": 9, "ns": "a.b"}, None),
        ({"ns": "a.b"}, None),
    ],
)
def test_cursors(cursor, expected):
    answer = op_msg({"operationTime": 1, "cursor": cursor, "ok": 1.0})
    found = cursor_of(answer)
    if expected is None:
        assert found is None
    else:
        assert isinstance(found, CursorField)
        assert (found.number, found.namespace) == expected
        assert int.from_bytes(answer[found.at : found.at + 8], "little") == expected[0]
        changed = message.with_number(answer, found.at, 77)
        assert cursor_of(changed).number == 77
        assert len(changed) == len(answer)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"ok": 1.0, "code": 5}, None),
        ({"ok": 1, "inner": {"ok": 0.0}}, None),
        ({"ok": 0.0, "code": 10107}, 10107),
        ({"code": 10107, "ok": 0}, 10107),
        ({"ok": 0.0}, 0),
        ({}, None),
    ],
)
def test_refusals(answer, code):
    assert refusal_of(op_msg(answer)) == code


def test_a_command():
    session = {"id": bson.Binary(b"x" * 16, 4)}
    document = {
        "insert": "a",
        "lsid": session,
        "txnNumber": bson.Int64(3),
        "autocommit": False,
        "$db": "shop",
    }
    command = read_command(op_msg(document))
    assert (command.name, command.database, command.transaction) == ("insert", "shop", 3)
    assert command.session == bson.encode(session)
    del document["autocommit"]
    assert read_command(op_msg(document)).transaction is None  # a write that may be tried again


@pytest.mark.parametrize(
    "data",
    [
        op_msg({"find": "a"}),
        op_msg({"find": "a", "$db": 3}),
        op_msg({}),
        op_msg({"find": "a", "$db": "x"}, flags=4),
        op_msg({"find": "a", "$db": "x"}, tail=b"\0" + bson.encode({"drop": "a"})),
        op_msg({"find": "a", "$db": "x"}, tail=b"\1\xff\0\0\0d\0"),
        op_msg({"find": "a", "$db": "x"}).replace(b"find", b"$db\0"),
    ],
)
def test_what_is_no_command(data):
    with pytest.raises(ProtocolFault):
        read_command(data)


def test_a_checksum_is_taken_off():
    plain = op_msg({"ping": 1, "$db": "a"})
    summed = op_msg({"ping": 1, "$db": "a"}, flags=1, tail=b"\x12\x34\x56\x78")
    assert message.without_checksum(summed) == plain
    assert read_command(summed).name == "ping"


ENDED = {"cursor": {"firstBatch": [{"_id": 1}], "id": bson.Int64(0), "ns": "a.b"}, "ok": 1.0}
OPEN = {"cursor": {"firstBatch": [], "id": bson.Int64(9), "ns": "a.b"}, "ok": 1.0}


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (op_msg(ENDED), True),
        (op_msg(OPEN), False),
        (op_msg({"ok": 1.0, **ENDED}), False),  # so it has, but one look does not tell
        (op_msg({"cursor": {"firstBatch": [{"id": bson.Int64(0)}], "id": bson.Int64(9), "ns": ""}}), False),
        (op_msg({"cursor": {"firstBatch": [], "ids": 1, "id": bson.Int64(9)}}), False),
        (op_msg(ENDED, tail=b"\1\x06\0\0\0d\0"), False),
        (op_msg(ENDED)[:60], False),
        (op_msg({"ok": 1.0}), False),
    ],
)
def test_one_look_tells_that_a_cursor_has_ended(answer, ended):
    assert has_ended(answer) is ended
