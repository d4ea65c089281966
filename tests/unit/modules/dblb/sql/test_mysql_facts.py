"""What MySQL's statements are."""

import pytest

from marchproxy.modules.dblb.sql import Dialect, Facts, Hint, Reader, Scope, Setting, Syntax


def read(text: str, **syntax: bool) -> Facts:
    return Reader(Syntax(Dialect.MYSQL, **syntax)).facts(text.encode())


@pytest.mark.parametrize(
    ("text", "kinds", "writes"),
    [
        ("SELECT 1", {"select"}, False),
        ("(select 1) union (select 2)", {"select"}, False),
        ("with x as (select 1) delete from t", {"select", "delete"}, True),
        ("replace into t values (1)", {"replace"}, True),
        ("insert ignore into t set a = 1", {"insert"}, True),
        ("update t, u set t.a = 1", {"update"}, True),
        ("# c\ndelete t from t join u", {"delete"}, True),
        ("drop table t", {"drop", "ddl"}, True),
        ("rename table a to b", {"rename", "ddl"}, True),
        ("load data local infile 'x' into table t", {"load"}, True),
        ("call p(1)", {"call"}, True),
        ("start transaction", {"begin"}, False),
        ("start slave", {"start"}, True),
        ("rollback to a", {"rollback to"}, False),
        ("show tables", {"show"}, False),
        ("explain analyze delete from t", {"explain"}, True),
        ("select ';' -- ;\n; delete from t", {"select", "delete"}, True),
    ],
)
def test_kinds(text: str, kinds: set[str], *, writes: bool) -> None:
    facts = read(text)
    assert (facts.kinds, facts.writes, facts.problem) == (kinds, writes, "")


@pytest.mark.parametrize(
    ("text", "tables", "columns", "functions"),
    [
        ("select `A`, load_file/**/(0x41) from d.`T`", {"d.t"}, {"a"}, {"load_file"}),
        ('select "a" from t', {"t"}, set(), set()),
        ("insert into t (a) values (now())", {"t"}, {"a"}, {"now"}),
        ("insert into t values ('f(1)')", {"t"}, {"*"}, set()),
        ("select * from t where a in (1)", {"t"}, {"*", "a"}, set()),
        ("select d.f (1)", set(), set(), {"f"}),
    ],
)
def test_names(text: str, tables: set[str], columns: set[str], functions: set[str]) -> None:
    facts = read(text)
    assert (facts.tables, facts.columns, facts.functions) == (tables, columns, functions)


def test_double_quotes_are_names_where_the_session_says_so() -> None:
    facts = read('select "secret" from "users"', ansi_quotes=True)
    assert (facts.tables, facts.columns) == ({"users"}, {"secret"})
    assert "backslash" in read("select '\\''", usual_backslash=False).problem


@pytest.mark.parametrize(
    ("text", "kinds", "unfiltered"),
    [
        ("/*!50000 delete from t */", {"delete"}, {"delete"}),
        ("/*! delete from t */", {"delete"}, {"delete"}),
        ("/*M!100100 delete from t */", {"delete"}, {"delete"}),
        ("delete from t /*!99999 where a = 1 */", {"delete"}, {"delete"}),
        ("delete from t where a = 1 /*!50000 or 1=1 */", {"delete"}, {"delete"}),
        ("select 1 /*!50000 ; */ /*!50001 delete from t */", {"select", "delete"}, {"delete"}),
        ("select '/*!50000 delete from t */'", {"select"}, set()),
    ],
)
def test_a_versioned_comment_is_run_and_is_not(text: str, kinds: set[str], unfiltered: set[str]) -> None:
    facts = read(text)
    assert (facts.kinds, facts.unfiltered) == (kinds, unfiltered)


@pytest.mark.parametrize(
    "text",
    [
        "select /*!50000 1 /* c */ */ + 1",
        "select /*!5000012 1 */",
        "select /*!500001,2 */",
        "select /*!1 1, */ /*!2 2, */ /*!3 3, */ /*!4 4, */ 5",
        "select /*!50000 1",
        "select /* 1",
        "select /*!50000 1 */" + " " * 4096,
        "select 2fa from t",
        "select 'a",
        "select `a",
        "sel/**/ect 1",
        "select 1 into outfile 'x'",
        "nonsense",
        "select 1; end",
        "select " + "(" * 4000,
    ],
)
def test_what_is_not_understood(text: str) -> None:
    assert read(text).problem


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("set autocommit = 0", Setting("autocommit", "0")),
        ("set names utf8mb4", Setting("names", "utf8mb4")),
        ("set sql_mode = 'ANSI_QUOTES'", Setting("sql_mode", "ANSI_QUOTES")),
        ("set global max_connections = 1", Setting("max_connections", "1", Scope.GLOBAL)),
        ("set session transaction read only", Setting("transaction", None)),
        ("set transaction isolation level serializable", Setting("transaction", None, Scope.TRANSACTION)),
        ("use `d`", Setting("database", "d")),
    ],
)
def test_settings(text: str, setting: Setting) -> None:
    assert read(text).settings == (setting,)


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("set @a = 1", "user variable"),
        ("select @a", "user variable"),
        ("select a into @a from t", "user variable"),
        ("select get_lock('a', 1)", "get_lock()"),
        ("select found_rows()", "found_rows()"),
        ("lock tables t read", "lock tables"),
        ("create temporary table t (a int)", "temporary table"),
        ("prepare s from 'select 1'", "prepare"),
        ("savepoint a", "savepoint"),
        ("set sql_log_bin = 0", "sql_log_bin"),
        ("handler t open", "handler"),
    ],
)
def test_pins(text: str, pin: str) -> None:
    assert read(text).pins == {pin}


def test_a_server_variable_or_an_address_does_not_pin() -> None:
    assert not read("select @@version, 'a@b'").pins


@pytest.mark.parametrize(
    ("where", "tautology", "unfiltered"),
    [
        ("a = 1", False, False),
        ("1", True, True),
        ("a = '' or '1'='1'", True, True),
        ("a = 1 or 0x41 = 0x41", True, True),
        ("a = 1 || 1", True, True),
        ("a = 1 or 2 > 1", True, True),
        ("a like a", True, True),
        ("1=1 and a = 1", False, False),
        ("0", False, False),
        ("? = ?", False, False),
        ("length(a) = 1", False, False),
    ],
)
def test_conditions(where: str, *, tautology: bool, unfiltered: bool) -> None:
    facts = read(f"delete from t where {where}")
    assert (facts.problem, facts.tautology, bool(facts.unfiltered)) == ("", tautology, unfiltered)


def test_comments_and_hints() -> None:
    facts = read("select 1 # marchproxy: primary\n/* b */")
    assert (facts.comments, facts.stacked_comments, facts.hint) == (2, True, Hint("primary"))
    assert read("select '# marchproxy: primary'").hint == Hint()
    assert read("select 2--1").comments == 0  # without a blank it is arithmetic
