"""Which server has a cursor or a transaction, whose they are, and what becomes of those that nobody wants."""

from marchproxy.modules.dblb.mongodb.pins import Cursor, Cursors, Transactions

ONE = Cursor("a:1", "anna", 7, "test", "things")
OTHER = Cursor("b:1", "anna", 7, "test", "things")


def test_the_same_number_on_two_servers():
    cursors = Cursors(most=10)
    first, _ = cursors.open(ONE, 1, 0.0)
    second, _ = cursors.open(OTHER, 1, 0.0)
    assert first != second
    assert cursors.use(first, "anna", 1, 1.0) is ONE
    assert cursors.use(second, "anna", 2, 1.0) is OTHER


def test_a_cursor_is_its_users():
    cursors = Cursors(most=10)
    number, _ = cursors.open(ONE, 1, 0.0)
    assert cursors.use(number, "bert", 2, 0.0) is None
    assert cursors.drop(number, "bert") is None
    assert cursors.drop(number, "anna") is ONE
    assert cursors.use(number, "anna", 1, 0.0) is None
    assert not cursors.left(1)


def test_the_oldest_goes_when_there_are_too_many():
    cursors = Cursors(most=2)
    first, _ = cursors.open(ONE, 1, 0.0)
    cursors.open(OTHER, 1, 1.0)
    cursors.use(first, "anna", 1, 2.0)
    _, forgotten = cursors.open(ONE, 1, 3.0)
    assert forgotten is OTHER
    assert len(cursors) == 2


def test_what_was_not_used_for_long_goes():
    cursors = Cursors(most=10)
    first, _ = cursors.open(ONE, 1, 0.0)
    cursors.open(OTHER, 1, 0.0)
    cursors.use(first, "anna", 1, 5.0)
    assert list(cursors.expire(3.0)) == [OTHER]
    assert len(cursors) == 1


def test_a_cursor_that_another_connection_goes_on_with_is_no_orphan():
    cursors = Cursors(most=10)
    first, _ = cursors.open(ONE, 1, 0.0)
    cursors.open(OTHER, 1, 0.0)
    left = cursors.left(1)
    cursors.use(first, "anna", 2, 1.0)
    assert list(cursors.orphans(left, 1)) == [OTHER]
    assert cursors.left(2) == {first}


def test_transactions():
    pins = Transactions(most=2)
    pins.begin("anna", b"s", 1, "a:1")
    assert pins.server("anna", b"s", 1) == "a:1"
    assert pins.server("bert", b"s", 1) is None
    assert pins.server("anna", b"s", 2) is None
    pins.end("anna", b"s", 2)
    assert len(pins) == 1
    pins.begin("anna", b"s", 2, "b:1")
    assert pins.server("anna", b"s", 1) is None
    pins.end("anna", b"s", 2)
    assert len(pins) == 0
    for number in range(5):
        pins.begin("anna", str(number).encode(), 1, "a:1")
    assert len(pins) == 2
