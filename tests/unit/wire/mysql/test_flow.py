"""What a server owes, for every shape of answer, in whatever pieces it comes."""

import struct

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import Refusal, error
from marchproxy.wire.mysql.flow import Flow
from marchproxy.wire.mysql.numbers import Capability, Command, Status
from marchproxy.wire.mysql.packets import packet

AUTOCOMMIT, MORE, CURSOR = int(Status.AUTOCOMMIT), int(Status.MORE_RESULTS), int(Status.CURSOR_EXISTS)


def ok(status=AUTOCOMMIT, first=0, tail=b""):
    return bytes((first, 0, 0)) + struct.pack("<HH", status, 0) + tail


def eof(status=AUTOCOMMIT):
    return b"\xfe" + struct.pack("<HH", 0, status)


def stream(*payloads):
    return b"".join(packet(at + 1, payload) for at, payload in enumerate(payloads))


COLUMN, ROW, ERR = b"\x03def...", b"\x01x", error(1, Refusal(1064, "42000", "no"))[4:]
PREPARED = b"\0" + struct.pack("<IHHBH", 7, 1, 2, 0, 0)
CLASSIC = {
    "ok": (Command.QUERY, [ok()]),
    "error": (Command.QUERY, [ERR]),
    "rows": (Command.QUERY, [b"\x02", COLUMN, COLUMN, eof(), ROW, ROW, eof()]),
    "no rows": (Command.QUERY, [b"\x01", COLUMN, eof(), eof()]),
    "error behind rows": (Command.QUERY, [b"\x01", COLUMN, eof(), ROW, ERR]),
    "two results": (Command.QUERY, [b"\x01", COLUMN, eof(), ROW, eof(AUTOCOMMIT | MORE), ok()]),
    "null row": (Command.QUERY, [b"\x01", COLUMN, eof(), b"\xfb", eof()]),
    "binary rows": (Command.STMT_EXECUTE, [b"\x01", COLUMN, eof(), b"\0\0x", eof()]),
    "cursor": (Command.STMT_EXECUTE, [b"\x01", COLUMN, eof(AUTOCOMMIT | CURSOR)]),
    "fetch": (Command.STMT_FETCH, [b"\0\0x", b"\0\0y", eof()]),
    "prepare": (Command.STMT_PREPARE, [PREPARED, COLUMN, COLUMN, eof(), COLUMN, eof()]),
    "prepare nothing": (Command.STMT_PREPARE, [b"\0" + struct.pack("<IHHBH", 7, 0, 0, 0, 0)]),
    "prepare badly": (Command.STMT_PREPARE, [ERR]),
    "fields": (Command.FIELD_LIST, [COLUMN, COLUMN, eof()]),
    "statistics": (Command.STATISTICS, [b"Uptime: 1"]),
    "option": (Command.SET_OPTION, [eof()]),
    "long row": (Command.QUERY, [b"\x01", COLUMN, eof(), b"\xfe" + bytes(0xFFFFFF), eof()]),
}
END = ok(first=0xFE)
MODERN = {
    "ok": (Command.QUERY, [ok()]),
    "rows": (Command.QUERY, [b"\x02", COLUMN, COLUMN, ROW, ROW, END]),
    "no rows": (Command.QUERY, [b"\x01", COLUMN, END]),
    "two results": (Command.QUERY, [b"\x01", COLUMN, ok(AUTOCOMMIT | MORE, 0xFE), ok()]),
    "cursor": (Command.STMT_EXECUTE, [b"\x01", COLUMN, ok(AUTOCOMMIT | CURSOR, 0xFE)]),
    "prepare": (Command.STMT_PREPARE, [PREPARED, COLUMN, COLUMN, COLUMN]),
    "fields": (Command.FIELD_LIST, [COLUMN, END]),
    "error": (Command.QUERY, [b"\x01", COLUMN, ERR]),
}
CASES = [
    *(pytest.param(0, *case, id=f"classic {name}") for name, case in CLASSIC.items()),
    *(
        pytest.param(int(Capability.DEPRECATE_EOF), *case, id=f"modern {name}")
        for name, case in MODERN.items()
    ),
]


@pytest.mark.parametrize("piece", [1, 3, 1 << 30])
@pytest.mark.parametrize(("capabilities", "command", "payloads"), CASES)
def test_an_answer_ends_with_its_last_byte_and_not_before(capabilities, command, payloads, piece):
    flow, data = Flow(capabilities), stream(*payloads)
    if len(data) > 1 << 20:
        piece = max(piece, 60_001)
    flow.sent(command)
    flow.sent(Command.PING)
    for start in range(0, len(data), piece):
        assert flow.owed == 2
        flow.received(data[start : start + piece])
    assert flow.owed == 1
    assert flow.between
    flow.received(stream(ok()))
    assert flow.owed == 0


@pytest.mark.parametrize(
    ("status", "transacting", "in_transaction"),
    [
        (AUTOCOMMIT, False, False),
        (AUTOCOMMIT | Status.IN_TRANS, True, True),
        (AUTOCOMMIT | Status.IN_TRANS_READONLY, True, True),
        (0, False, True),
    ],
)
def test_what_a_server_says_of_transactions(status, transacting, in_transaction):
    flow = Flow(0)
    flow.sent(Command.QUERY)
    flow.received(stream(ok(int(status))))
    assert (flow.transacting, flow.in_transaction) == (transacting, in_transaction)


def test_prepared_statements_are_counted_until_they_are_closed():
    flow = Flow(0)
    flow.sent(Command.STMT_PREPARE)
    flow.received(stream(*CLASSIC["prepare"][1]))
    assert flow.statements == 1
    flow.sent(Command.STMT_CLOSE)
    assert (flow.owed, flow.statements) == (0, 0)


def test_who_wants_to_know_is_told_what_was_prepared_and_what_was_not():
    flow = Flow(0)
    flow.prepared = []
    for _ in range(2):
        flow.sent(Command.STMT_PREPARE)
    flow.received(stream(*CLASSIC["prepare"][1]) + stream(ERR))
    assert [(item.number, item.parameters) for item in flow.prepared] == [(7, 2), (0, 0)]
    assert flow.errors == 1


@pytest.mark.parametrize("command", [Command.BINLOG_DUMP, Command.SET_OPTION, Command.REGISTER_SLAVE])
def test_some_commands_spoil_a_connection(command):
    flow = Flow(0)
    flow.sent(command)
    assert flow.spoilt


def test_a_dump_of_the_binary_log_goes_on_until_an_error():
    flow = Flow(0)
    flow.sent(Command.BINLOG_DUMP)
    flow.received(stream(b"\0event", b"\0another"))
    assert flow.owed == 1
    flow.received(stream(ERR))
    assert flow.owed == 0


@pytest.mark.parametrize(
    "data",
    [
        stream(b"\xfb/etc/passwd"),
        stream(b""),
        stream(b"\x02\x00"),
        stream(b"\xfc\xff"),
        stream(b"\xfd\xff\xff\xff"),
        stream(b"\0"),
        b"\0\0\x20\x01\0",
    ],
)
def test_what_breaks_the_protocol_is_a_fault(data):
    flow = Flow(0)
    flow.sent(Command.QUERY)
    with pytest.raises(ProtocolFault):
        flow.received(data)


def test_an_answer_that_nobody_asked_for_is_a_fault_in_the_servers_words():
    with pytest.raises(ProtocolFault, match="going down"):
        Flow(0).received(error(0, Refusal(1053, "08S01", "going down")))
