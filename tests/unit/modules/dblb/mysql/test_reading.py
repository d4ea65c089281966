"""What statements mean to a session: where they may be answered, and what other connections would lack."""

import pytest

from marchproxy.modules.dblb.mysql.memory import Memory
from marchproxy.modules.dblb.mysql.reading import Readings

READINGS = Readings()


def of(statement, **options):
    return READINGS.of(statement.encode(), 45, **({"hints": True} | options))


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "SELECT c FROM sbtest1 WHERE id=?",
        "select count(*), concat(a, 'x') from t where b = 3 group by a",
        "select cast(a as decimal(10, 2)) from t",
        "with x as (select 1) select * from x",
        "select now(), database()",
        "(select a from t) union (select b from u)",
        "/* marchproxy: replica */ select discount(a) from t",
    ],
)
def test_what_a_replica_may_answer(statement):
    assert of(statement).obstacle == ""


@pytest.mark.parametrize(
    "statement",
    [
        "select a from t for update",
        "select a from t lock in share mode",
        "select get_lock('a', 1)",
        "select last_insert_id()",
        "select @a",
        "select @@hostname",
        "select discount(a) from t",
        "select shop.concat(a) from t",
        "select `shop` . `concat` (a) from t",
        "select sql_calc_found_rows * from t",
        "select next value for s",
        "select nextval(s)",
        "select a from t into outfile '/x'",
        "select a into @b from t",
        "select rand(), uuid()",
        "select sleep(1)",
        "select * from information_schema.tables",
        "select * from mysql.user",
        "select 1; select 2",
        "show tables",
        "update t set a = 1",
        "with x as (select 1) delete from t",
        "/* marchproxy: primary */ select 1",
        "/*! marchproxy */ /*!50000 update t set */ select 1",
        "",
    ],
)
def test_what_only_the_primary_may_answer(statement):
    assert of(statement).obstacle


def test_a_pool_that_a_comment_asks_for():
    assert of("/* marchproxy: pool=reports */ select 1").pool == "reports"
    assert of("/* marchproxy: pool=reports */ select 1", hints=False).pool == ""


def test_hints_that_are_not_heeded():
    assert not of("/* marchproxy: primary */ select 1", hints=False).obstacle
    assert of("/* marchproxy: replica */ select discount(1)", hints=False).obstacle


@pytest.mark.parametrize(
    ("statement", "sets"),
    [
        ("set names utf8mb4", ("names",)),
        ("set time_zone = '+00:00', sql_mode = 'strict_all_tables'", ("time_zone", "sql_mode")),
        ("SET character_set_results = NULL", ("character_set_results",)),
        ("use attic", ("database",)),
        ("set session transaction isolation level read committed", ("transaction",)),
        ("set autocommit = 1", ("autocommit",)),
        ("select 1", ()),
    ],
)
def test_what_can_be_repeated_elsewhere(statement, sets):
    assert (of(statement).sets, of(statement).binds) == (sets, "")


@pytest.mark.parametrize(
    "statement",
    [
        "set @a = 1",
        "select @a := 1",
        "create temporary table t (n int)",
        "lock tables t read",
        "select get_lock('a', 1)",
        "prepare s from 'select 1'",
        "call p()",
        "select discount(1)",
        "set time_zone = @@global.time_zone",
        "set sql_mode = 'ANSI_QUOTES'",
        "set session transaction isolation level serializable",
        "set tx_isolation = 'serializable'",
        "create temporary table if not exists t engine=memory as table u odd words",
        "mystery",
    ],
)
def test_what_binds_a_session_to_its_connection(statement):
    assert of(statement).binds


@pytest.mark.parametrize(
    ("statement", "follows"),
    [
        ("show warnings", True),
        ("show errors", True),
        ("show count(*) warnings", True),
        ("select @@warning_count", True),
        ("select found_rows()", True),
        ("select row_count()", True),
        ("show tables", False),
        ("select 1", False),
    ],
)
def test_what_is_asked_of_the_statement_before(statement, follows):
    assert of(statement).follows is follows
    assert not of(statement).binds


def test_a_memory_tells_what_another_connection_lacks():
    memory = Memory()
    for statement in (
        "set names latin1",
        "use attic",
        "set names utf8mb4",
        "select 1",
        "insert t values (1)",
    ):
        memory.note(statement.encode(), of(statement))
    assert (list(memory.since(0)), list(memory.since(2))) == (
        [b"use attic", b"set names utf8mb4"],
        [b"set names utf8mb4"],
    )
    assert (memory.wrote, memory.bound) == (True, "")


def test_a_memory_has_an_end():
    memory = Memory()
    for number in range(65):
        memory.note(b"set x%d = 1" % number, of(f"set x{number} = 1"))
    assert memory.bound
