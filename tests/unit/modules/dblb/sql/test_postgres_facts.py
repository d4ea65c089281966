"""What PostgreSQL's statements are."""

import pytest

from marchproxy.modules.dblb.sql import Dialect, Facts, Hint, Reader, Scope, Setting, Syntax


def read(text: str, **syntax: bool) -> Facts:
    return Reader(Syntax(Dialect.POSTGRES, **syntax)).facts(text.encode())


@pytest.mark.parametrize(
    ("text", "kinds", "writes"),
    [
        ("select 1", {"select"}, False),
        ("TABLE t", {"select"}, False),
        ("values (1)", {"select"}, False),
        ("insert into t select 1", {"insert", "select"}, True),
        ("with x as (delete from t returning *) select * from x", {"select", "delete"}, True),
        ("select * into u from t", {"select", "select into"}, True),
        ("merge into t using u on true when matched then delete", {"merge", "delete"}, True),
        ("select nextval('s')", {"select"}, True),
        ("truncate t", {"truncate", "ddl"}, True),
        ("create index on t (a)", {"create", "ddl"}, True),
        ("alter table t rename to u", {"alter", "ddl"}, True),
        ("revoke select on t from u", {"revoke", "ddl"}, True),
        ("copy t to stdout", {"copy"}, False),
        ("copy t from stdin", {"copy"}, True),
        ("copy (select 1) to program 'x'", {"copy", "select"}, True),
        ("explain delete from t", {"explain"}, False),
        ("explain (analyze off) delete from t", {"explain"}, False),
        ("explain analyze delete from t", {"explain", "delete"}, True),
        ("prepare p as delete from t", {"prepare", "delete"}, True),
        ("do $$begin delete from t; end$$", {"do"}, True),
        ("call p()", {"call"}, True),
        ("show all", {"show"}, False),
        ("prepare transaction 'x'", {"prepare transaction"}, False),
        ("commit prepared 'x'", {"commit prepared"}, False),
        ("savepoint a", {"savepoint"}, False),
        ("rollback to a", {"rollback to"}, False),
        ("select 1; delete from t where a = 1", {"select", "delete"}, True),
        ("", set(), False),
    ],
)
def test_kinds(text: str, kinds: set[str], *, writes: bool) -> None:
    facts = read(text)
    assert (facts.kinds, facts.writes, facts.problem) == (kinds, writes, "")


@pytest.mark.parametrize(
    ("text", "tables", "columns", "functions"),
    [
        ("select a.b, pg_catalog.now() from S.T a", {"s.t"}, {"b"}, {"now"}),
        ('select U&"\\0061bc" from U&"d\\0061t\\+000061"', {"data"}, {"abc"}, set()),
        ("select u from users u", {"users"}, {"u", "*"}, set()),  # a whole row
        ("select row_to_json(u) from users u", {"users"}, {"u", "*"}, {"row_to_json"}),
        ("drop table a.b, c", {"a.b", "c"}, set(), set()),
        ("insert into t (a) values (x.f(1))", {"t"}, {"a"}, {"x.f"}),
        ("insert into t values (1)", {"t"}, {"*"}, set()),
        ("update t set a = 1 where b = 2", {"t"}, {"a", "b"}, set()),
        ("insert into t (a) values (1) on conflict (b) do update set c = 1", {"t"}, {"a", "c"}, set()),
        ("copy users (a) to stdout", {"users"}, {"a"}, set()),
        ("copy users to stdout", {"users"}, {"*"}, set()),
        ("select 1 from t join u using (secret)", {"t", "u"}, {"secret"}, set()),
        ("select 1 from t natural join u", {"t", "u"}, {"*"}, set()),
        ("comment on table a.secret is 'x'", {"a.secret"}, set(), set()),
        ("select 1 operator(s.+) 2", set(), set(), {"operator s.+"}),
        ("explain select secret(1) from t", {"t"}, set(), {"secret"}),
    ],
)
def test_names(text: str, tables: set[str], columns: set[str], functions: set[str]) -> None:
    facts = read(text)
    assert (facts.tables, facts.columns, facts.functions) == (tables, columns, functions)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("set search_path = a, b", Setting("search_path", "a, b")),
        ("set local x.y to 5", Setting("x.y", "5", Scope.TRANSACTION)),
        ("reset work_mem", Setting("work_mem", None, reset=True)),
        ("reset all", Setting("all", None, reset=True)),
        ("set work_mem to default", Setting("work_mem", None, reset=True)),
        ("set time zone 'UTC'", Setting("timezone", "UTC")),
        ("select set_config('Role', 'x', true)", Setting("role", "x", Scope.TRANSACTION)),
        ("select set_config('role', 'x', 'off')", Setting("role", "x")),
    ],
)
def test_settings(text: str, setting: Setting) -> None:
    assert read(text).settings == (setting,)


def test_a_setting_of_a_function_is_not_the_sessions() -> None:
    facts = read("create function f() returns int language sql set search_path = x as 'select 1'")
    assert (facts.settings, facts.kinds) == ((), {"create", "ddl"})


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("listen a", "listen"),
        ("load 'x'", "load"),
        ("prepare p as select 1", "prepare"),
        ("declare c cursor with hold for select 1", "cursor with hold"),
        ("create temp table x (a int)", "temporary table"),
        ("create temporary view v as select 1", "temporary table"),
        ("select 1 into temp x", "temporary table"),
        ("create table pg_temp.x (a int)", "temporary table"),
        ("select PG_ADVISORY_LOCK(1)", "advisory lock"),
        ("select set_config(a, b, false) from t", "set_config"),
    ],
)
def test_pins(text: str, pin: str) -> None:
    assert read(text).pins == {pin}


@pytest.mark.parametrize(
    "text", ["declare c cursor for select 1", "select pg_advisory_xact_lock(1)", "discard all"]
)
def test_what_does_not_pin(text: str) -> None:
    assert not read(text).pins


@pytest.mark.parametrize(
    ("text", "isolation", "read_only"),
    [
        ("begin", "", None),
        ("start transaction isolation level serializable read only", "serializable", True),
        ("set transaction read write", "", False),
        (
            "set session characteristics as transaction isolation level repeatable read",
            "repeatable read",
            None,
        ),
    ],
)
def test_transactions(text: str, isolation: str, *, read_only: bool | None) -> None:
    facts = read(text)
    assert (facts.isolation, facts.read_only) == (isolation, read_only)


@pytest.mark.parametrize(
    ("where", "tautology", "unfiltered"),
    [
        ("a = 1", False, False),
        ("1=1", True, True),
        ("'a' = E'\\x61'", True, True),
        ("$$a$$ = 'a'", True, True),
        ("a = 1 or true", True, True),
        ("a = 1 or not 1 = 2", True, True),
        ("a = 1 or 1 + 0 = 1", True, True),
        ("a = 1 or a = a", True, True),
        ("a = 1 or ('1'='1' and b = 2)", True, False),
        ("1=1 and a = 1", False, False),  # what query builders write
        ("a = 1 or false", False, False),
        ("1 between 0 and 2", True, True),
        ("$1 = $2", False, False),
        ("a = (select 1)", False, False),
        ("exists (select 1 from t where 1 = 1)", True, False),
    ],
)
def test_conditions(where: str, *, tautology: bool, unfiltered: bool) -> None:
    facts = read(f"delete from t where {where}")
    assert (facts.tautology, bool(facts.unfiltered), facts.filtered) == (tautology, unfiltered, True)


@pytest.mark.parametrize(
    ("text", "comments", "nested", "hint"),
    [
        ("select 1", 0, False, Hint()),
        ("/* marchproxy: replica pool=eu-1 */ select 1", 1, False, Hint("replica", "eu-1")),
        ("select 1 -- marchproxy: primary", 1, False, Hint("primary")),
        ("select '/* marchproxy: replica */'", 0, False, Hint()),
        ("select $a$ -- marchproxy: replica\n$a$", 0, False, Hint()),
        ("select E'\\' /* marchproxy: replica */'", 0, False, Hint()),
        ('select 1 as "/* marchproxy: replica */"', 0, False, Hint()),
        ("/* a /* marchproxy: replica */ */ select 1", 1, True, Hint()),
        ("/* a */ select /* b */ 1", 2, False, Hint()),
    ],
)
def test_comments(text: str, comments: int, hint: Hint, *, nested: bool) -> None:
    facts = read(text)
    assert (facts.comments, facts.nested_comments, facts.hint) == (comments, nested, hint)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sel/**/ect 1", "syntax error"),
        ("select 1 \0; drop table t", "zero byte"),
        ("/*" * 8000, "comments nested too deeply"),
        ("select '", "unterminated"),
        ("select " + "not " * 4000 + "true", "nested too deeply"),
        ("select " + "(" * 12000, "memory exhausted"),
        ("select " + "1," * 9000 + "1", "longer than 16384 bytes"),
    ],
)
def test_what_is_not_understood(text: str, problem: str) -> None:
    facts = read(text)
    assert problem in facts.problem
    assert not facts.kinds


def test_a_session_that_reads_backslashes_otherwise_is_not_guessed_at() -> None:
    text = "select '\\''; drop table t; --'"
    assert not read(text).problem
    assert "backslash" in read(text, usual_backslash=False).problem
    assert "UTF-8" in read("select 'ä'", utf8=False).problem
