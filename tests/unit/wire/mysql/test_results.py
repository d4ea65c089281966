"""Small answers that the proxy itself asked for."""

import struct

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import Refusal, error
from marchproxy.wire.mysql.numbers import Capability, Status
from marchproxy.wire.mysql.packets import counted
from marchproxy.wire.mysql.results import PrepareResult, Refused, Result

EOF = b"\xfe" + struct.pack("<HH", 0, Status.AUTOCOMMIT)
OK = bytes(3) + struct.pack("<HH", Status.AUTOCOMMIT, 0)
ERR = error(1, Refusal(1064, "42000", "no"))[4:]
MODERN = int(Capability.DEPRECATE_EOF)


def column(name):
    return counted(b"def") + counted(b"") * 3 + counted(name) + counted(name) + b"\x0c" + bytes(12)


def fed(answer, *payloads):
    for payload in payloads:
        assert not answer.done
        answer.feed(payload)
    return answer


@pytest.mark.parametrize(
    ("capabilities", "between", "end"), [(0, [EOF], EOF), (MODERN, [], b"\xfe" + OK[1:])]
)
def test_rows_by_the_names_of_their_columns(capabilities, between, end):
    rows = [counted(b"1") + b"\xfb", counted(b"") + counted(b"x")]
    result = fed(Result(capabilities), b"\x02", column(b"One"), column(b"two"), *between, *rows, end)
    assert result.done
    assert result.rows == [{"one": b"1", "two": None}, {"one": b"", "two": b"x"}]


def test_an_ok_has_no_rows():
    result = fed(Result(0), OK)
    assert (result.done, result.rows) == (True, [])


@pytest.mark.parametrize("answer", [Result(0), PrepareResult(0)])
def test_an_error_ends_an_answer(answer):
    with pytest.raises(Refused, match="1064 no"):
        answer.feed(ERR)
    assert answer.done


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\xfc\xff\xff"],
        [b"\x01", b"\x03de"],
        [b"\x01", column(b"a"), EOF, b"\x05x"],
        [bytes(3) + struct.pack("<HH", Status.MORE_RESULTS, 0)],
    ],
)
def test_what_was_not_asked_for_is_a_fault(payloads):
    with pytest.raises(ProtocolFault):
        fed(Result(0), *payloads)


@pytest.mark.parametrize(
    ("capabilities", "columns", "parameters", "more"),
    [(0, 0, 0, 0), (0, 2, 0, 3), (0, 1, 2, 5), (MODERN, 1, 2, 3)],
)
def test_a_prepared_statement_has_a_number(capabilities, columns, parameters, more):
    head = b"\0" + struct.pack("<IHHBH", 7, columns, parameters, 0, 0)
    answer = fed(PrepareResult(capabilities), head, *[column(b"a")] * more)
    assert (answer.number, answer.done) == (7, True)
