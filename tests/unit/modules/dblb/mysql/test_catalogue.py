"""Prepared statements: their texts by number, and their parameters' types, which clients tell only once."""

import struct

from marchproxy.modules.dblb.mysql.catalogue import (
    Catalogue,
    Copy,
    Statement,
    execute_for,
    has_cursor,
    take_types,
)
from marchproxy.wire.mysql.prepared import REFUSED, Prepared

TYPES = b"\x03\0\xfd\0"


def execute(number=7, *, types=None, values=b"VALUES", flags=0, nulls=b"\0"):
    told = b"\0" if types is None else b"\1" + types
    return struct.pack("<BIBI", 0x17, number, flags, 1) + nulls + told + values


def test_texts_by_the_numbers_that_the_server_gave_them():
    catalogue = Catalogue()
    for text in (b"one", b"bad", b"three", b""):
        catalogue.asked(text)
    catalogue.answers.extend([Prepared(1, 0), REFUSED, Prepared(3, 2), Prepared(4, 0)])
    catalogue.heard()
    assert [catalogue.get(number) and catalogue.get(number).text for number in (1, 2, 3, 4)] == [
        b"one",
        None,
        b"three",
        None,
    ]
    assert catalogue.closed(3).parameters == 2
    assert catalogue.get(3) is None


def test_types_are_told_to_each_connection_once():
    statement, other = Statement(Copy(7), b"select ?, ?", 2), Copy(9)
    assert not take_types(statement, execute())
    first, later = execute(types=TYPES), execute()
    assert take_types(statement, first)
    assert execute_for(statement, first, statement.own) == first
    assert take_types(statement, later)
    assert execute_for(statement, later, statement.own) == later
    assert execute_for(statement, later, other) == execute(9, types=TYPES)
    assert execute_for(statement, later, other) == execute(9)


def test_types_that_change_are_told_again():
    statement, other = Statement(Copy(7), b"select ?, ?", 2), Copy(9)
    for types in (TYPES, b"\x08\0\x08\0"):
        changed = execute(types=types)
        assert take_types(statement, changed)
        execute_for(statement, changed, other)
    assert execute_for(statement, execute(), statement.own) == execute(types=b"\x08\0\x08\0")


def test_a_statement_without_parameters_has_no_types():
    statement, payload = Statement(Copy(7), b"select 1", 0), struct.pack("<BIBI", 0x17, 7, 0, 1)
    assert take_types(statement, payload)
    assert execute_for(statement, payload, Copy(9)) == struct.pack("<BIBI", 0x17, 9, 0, 1)


def test_nine_parameters_have_two_bytes_of_nulls():
    statement = Statement(Copy(7), b"", 9)
    assert take_types(statement, execute(types=b"\x03\0" * 9, nulls=b"\0\1"))
    assert statement.types == b"\x03\0" * 9


def test_cursors():
    assert has_cursor(execute(flags=1))
    assert not has_cursor(execute())
    assert has_cursor(b"\x17\1\0\0\0")


def test_a_catalogue_has_an_end_and_room_again_when_statements_are_closed():
    catalogue = Catalogue()
    for number in range(1, 101):
        catalogue.asked(b"x" * 16_000)
        catalogue.answers.append(Prepared(number, 0))
        catalogue.heard()
    known = [number for number in range(1, 101) if catalogue.get(number)]
    assert known == list(range(1, 66))
    catalogue.closed(1)
    catalogue.asked(b"x" * 16_000)
    catalogue.answers.append(Prepared(200, 0))
    catalogue.heard()
    assert catalogue.get(200) is not None
