"""Reads: what a replica may answer, by the messages as clients send them."""

import pytest

from marchproxy.modules.dblb.postgres.requests import INTERESTS
from marchproxy.modules.dblb.postgres.routing.catalogue import read_functions, read_relations
from marchproxy.modules.dblb.postgres.routing.reads import Judge, Reading, judge_of
from marchproxy.modules.dblb.sql import Dialect, Reader, Syntax, Volatility
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.framing import Framer

FUNCTIONS = {"now": "s", "lower": "i", "random": "v", "mine": "s", "pg_is_in_recovery": "s", "count": "i"}
PREPARED = {b"read": b"select * from t where id = $1", b"write": b"insert into t values ($1)"}


class Known:
    def __init__(self, *, relations: bool | None = False) -> None:
        self.relations = relations

    def volatility(self, function: str) -> Volatility | None:
        return Volatility(FUNCTIONS[function]) if function in FUNCTIONS else None

    def is_primarys(self, tables: frozenset[str]) -> bool | None:
        return True if "my_seq" in tables else self.relations


JUDGE = Judge(Reader(Syntax(Dialect.POSTGRES)))
READING = Reading(PREPARED.get, Known())
SYNC, EXECUTE = encode.SYNC, encode.message(b"E", b"\0\0\0\0\0")
FLUSH = encode.message(b"H", b"")


def parse(text: str, name: bytes = b"") -> bytes:
    return encode.parse(name, text.encode() + b"\0\0\0")


def bind(name: bytes = b"") -> bytes:
    return encode.message(b"B", b"\0" + name + b"\0\0\0\0\0\0\0")


def describe(name: bytes = b"", kind: bytes = b"S") -> bytes:
    return encode.message(b"D", kind + name + b"\0")


def obstacle(data: bytes, reading: Reading = READING, judge: Judge = JUDGE) -> str:
    data, events = Framer(INTERESTS, longest=1 << 20).feed(data)
    return judge.judge(data, events, reading).obstacle


@pytest.mark.parametrize(
    "text",
    [
        "select * from t",
        "SELECT lower(name), now() FROM t WHERE id = 3",
        "with a as (select 1) select * from a join t on true",
        "select 1; ",
        "begin read only",
        "start transaction isolation level repeatable read, read only",
        "/* marchproxy: replica */ select mystery(1)",
    ],
)
def test_a_query_that_a_replica_may_answer(text):
    assert obstacle(encode.query(text)) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("insert into t values (1)", "not a plain SELECT"),
        ("with a as (delete from t returning *) select * from a", "not a plain SELECT"),
        ("select * from t for update", "locks rows"),
        ("select random()", "random() is volatile"),
        ("select mystery(1)", "whether mystery() is volatile is not known"),
        ("select nextval('s')", "it writes"),
        ("select pg_advisory_lock(1)", "advisory lock"),
        ("select 1; select 2", "2 statements"),
        ("selec 1", "not understood"),
        ("begin", "the transaction may write"),
        ("begin read write", "the transaction may write"),
        ("begin read only, isolation level serializable", "serializable"),
        ("select * from my_seq", "reads a sequence"),
        ("select * from pg_stat_activity", "of the server that is asked"),
        ("select * from pg_catalog.pg_locks", "of the server that is asked"),
        ("select pg_is_in_recovery()", "of the server that is asked"),
        ("/* marchproxy: primary */ select 1", "a comment asks for the primary"),
        ("/* marchproxy: primary */ begin read only", "a comment asks for the primary"),
        ("/* marchproxy: replica */ insert into t values (1)", "not a plain SELECT"),
        ("set timezone to 'UTC'", "not a plain SELECT"),
        ("", "0 statements"),
    ],
)
def test_a_query_for_the_primary(text, words):
    assert words in obstacle(encode.query(text))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (parse("select 1") + bind() + describe(kind=b"P") + EXECUTE + SYNC, ""),
        (bind(b"read") + EXECUTE + SYNC, ""),
        (bind(b"read") + EXECUTE + SYNC + bind(b"read") + EXECUTE + SYNC, ""),
        (describe(b"read") + SYNC, ""),
        (parse("begin read only") + bind() + EXECUTE + SYNC, ""),
        (SYNC, ""),
        (bind(b"write") + EXECUTE + SYNC, "not a plain SELECT"),
        # what is sent in one go goes to one server
        (bind(b"read") + EXECUTE + bind(b"write") + EXECUTE + SYNC, "not a plain SELECT"),
        (bind(b"read") + EXECUTE + SYNC + encode.query("delete from t"), "not a plain SELECT"),
        (parse("select 1") + bind() + EXECUTE, "not a whole request"),
        (parse("select 1") + describe() + FLUSH, "not a whole request"),
        (bind(b"read") + EXECUTE + SYNC + FLUSH, "not a whole request"),
        (parse("select 1", b"name") + SYNC, ""),
        (parse("select 1", b"name") + bind(b"name") + EXECUTE + SYNC, ""),
        (parse("delete from t", b"name") + SYNC, "not a plain SELECT"),
        (encode.close_statement(b"read") + SYNC, "of another kind"),
        (encode.message(b"F", b"\0\0\0\0\0\0\0\0\0\0") + SYNC, "of another kind"),
        (bind(b"nobody's") + EXECUTE + SYNC, "a statement that is not known"),
        (bind() + EXECUTE + SYNC, "a statement that is not known"),
        (describe() + SYNC, "a statement that is not known"),
        # the unnamed statement is the one that was prepared last
        (parse("select 1") + parse("delete from t") + bind() + EXECUTE + SYNC, "not a plain SELECT"),
    ],
)
def test_requests_of_the_extended_protocol(data, words):
    found = obstacle(data)
    assert words in found
    assert bool(words) == bool(found)


def test_of_a_database_that_is_not_known_yet_nothing_is_read_from_replicas():
    assert "not known yet" in obstacle(
        encode.query("select * from t"), Reading(PREPARED.get, Known(relations=None))
    )


def test_a_session_whose_transactions_only_read():
    assert obstacle(encode.query("begin"), Reading(PREPARED.get, Known(), read_only=True)) == ""
    assert obstacle(encode.query("begin read write"), Reading(PREPARED.get, Known(), read_only=True))


def test_hints_that_are_not_heeded():
    deaf = Judge(Reader(Syntax(Dialect.POSTGRES)), hints=False)
    assert obstacle(encode.query("/* marchproxy: primary */ select 1"), judge=deaf) == ""
    assert obstacle(encode.query("/* marchproxy: replica */ select mystery(1)"), judge=deaf)


def test_sessions_that_read_texts_alike_have_one_judge():
    judges: dict[tuple[bool, bool, bool], Judge] = {}
    usual = judge_of(judges, {}, hints=True)
    assert judge_of(judges, {"client_encoding": "UTF8"}, hints=True) is usual
    latin = judge_of(judges, {"client_encoding": "LATIN1"}, hints=True)
    assert obstacle(encode.query("select 'é'"), judge=latin)
    assert not obstacle(encode.query("select 'é'"), judge=usual)
    old = judge_of(judges, {"standard_conforming_strings": "off"}, hints=True)
    assert obstacle(encode.query(r"select 'a\'"), judge=old)


def test_the_worst_function_of_a_name_counts():
    known = read_functions([("pg_catalog", "lower", "0"), ("public", "lower", "2"), ("app", "f", "1")])
    assert known["lower"] is Volatility.VOLATILE
    assert known["pg_catalog.lower"] is Volatility.IMMUTABLE
    assert known["app.f"] is known["f"] is Volatility.STABLE


def test_relations_are_known_with_and_without_their_schema():
    assert read_relations([("public", "s")]) == {"s", "public.s"}
