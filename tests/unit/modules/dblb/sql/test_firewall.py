"""The firewall's verdicts, and what tries to slip past them."""

import pytest

from marchproxy.model.sql import SqlMode, SqlRule, SqlScope, SqlTrait
from marchproxy.modules.dblb.sql import (
    Dialect,
    Reader,
    SqlSession,
    Syntax,
    Verdict,
    judge,
)

SESSION = SqlSession("ann", "shop", "web")
RULES = (
    SqlRule("vacuum", SqlMode.ALLOW, kinds=("vacuum",)),
    SqlRule("no-ddl", SqlMode.BLOCK, kinds=("ddl",)),
    SqlRule(
        "no-do",
        SqlMode.BLOCK,
        kinds=(
            "do",
            "call",
        ),
    ),
    SqlRule("secret", SqlMode.BLOCK, tables=("secret*",)),
    SqlRule("audit", SqlMode.BLOCK, tables=("audit.log",)),
    SqlRule("password", SqlMode.BLOCK, tables=("users",), columns=("password",)),
    SqlRule("files", SqlMode.BLOCK, functions=("pg_read_file", "load_file", "lo_*")),
    SqlRule("everything", SqlMode.BLOCK, traits=(SqlTrait.MISSING_WHERE,)),
    SqlRule("always", SqlMode.BLOCK, traits=(SqlTrait.TAUTOLOGY,)),
    SqlRule("many", SqlMode.BLOCK, traits=(SqlTrait.MULTI_STATEMENT,)),
    SqlRule("comments", SqlMode.WARN, traits=(SqlTrait.STACKED_COMMENTS,)),
    SqlRule("unread", SqlMode.LOG, traits=(SqlTrait.UNPARSABLE,)),
)


def verdict(text: str, dialect: Dialect = Dialect.POSTGRES, rules: tuple[SqlRule, ...] = RULES) -> Verdict:
    return judge(rules, Reader(Syntax(dialect)).facts(text.encode()), SESSION)


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("select 1", "", ""),
        ("vacuum secret", "vacuum", "statement vacuum"),
        ("DROP\n\tTABLE t", "no-ddl", "statement ddl"),
        ("drop/**/table/* /* x */ */t", "no-ddl", "statement ddl"),
        ("do $x$begin execute 'drop table t'; end$x$", "no-do", "statement do"),
        ("select ';drop table t'", "", ""),
        ("select E'\\';drop table t'", "", ""),
        ("select $$;drop table secret$$", "", ""),
        ("select 1;;", "", ""),
        ("select 1; select 2", "many", "2 statements in one"),
        ('select 1 from "secret"', "secret", "table secret"),
        ('select 1 from U&"secr\\0065t"', "secret", "table secret"),
        ("select 1 from U&\"secr!0065t\" UESCAPE '!'", "secret", "table secret"),
        ("select 1 from public . SECRETS", "secret", "table public.secrets"),
        ("select (select 1 from secret limit 1)", "secret", "table secret"),
        ("with x as (insert into secret values (1) returning 1) select 1 from x", "secret", "table secret"),
        ("explain select 1 from secret", "secret", "table secret"),
        ("select secret from t", "", ""),
        ("select 1 from log", "audit", "table log"),
        ("select 1 from x.log", "", ""),
        ("select password from users", "password", "table users, column password"),
        ("select * from users", "password", "table users, column *"),
        ("select u from users u", "password", "table users, column *"),
        ("select name from users", "", ""),
        ("select pg_catalog.PG_READ_FILE('x')", "files", "function pg_read_file"),
        ("select 1 where lo_get(1) is null", "files", "function lo_get"),
        ("update t set a = 1", "everything", "update without WHERE"),
        ("with x as (delete from t returning 1) select 1", "everything", "delete without WHERE"),
        ("delete from t where 1=1", "everything", "delete without WHERE"),
        ("select 1 from t where a = '' or 'a'='a'", "always", "a condition that is always true"),
        ("select 1 /* a */ /* b */", "comments", "2 comments"),
        ("select 1 /* a /* b */ */", "comments", "1 comments"),
        ("selec 1", "unread", 'not understood (syntax error at or near "selec"'),
        ("selec 1 from secret", "secret", "table secret"),  # not told apart: any word may be the table
    ],
)
def test_postgres(text: str, rule: str, words: str) -> None:
    found = verdict(text)
    assert found.rule == rule
    assert found.words.startswith(f"firewall rule {rule}: {words}" if rule else "")
    assert found.mode is next((one.mode for one in RULES if one.id == rule), SqlMode.ALLOW)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("select 1", ""),
        ("/*!50000 drop */ table t", "no-ddl"),
        ("/*!50000drop table t*/", "no-ddl"),
        ("# x\ndrop table t", "no-ddl"),
        ("-- x\ndrop table t", "no-ddl"),
        ("select 1 from /*!40000 secret */ /*!40001 t */", "secret"),
        ("select 1 from `secret`", "secret"),
        ("select 1 from `d` . `SECRET`", "secret"),
        ("select '`secret`', \"secret\"", ""),
        ("rename table secret to x", "no-ddl"),
        ("handler secret open", "secret"),
        ("load data infile 'x' into table secret", "secret"),
        ("select a--1 from secret", "secret"),
        ("select 1from secret", "secret"),
        ("select 1.from secret", "secret"),
        ("select 1e1from secret", "secret"),
        ("select{x 1}from secret", "secret"),
        ("select'a'from(secret)", "secret"),
        ("select 1e1, 0x41, 1.5e-3, .5, 5. from t", ""),
        ("select\\Nfrom secret", "secret"),
        ("select 1 from t where exists (table secret)", "secret"),
        ("do (select 1 from secret)", "no-do"),
        ("select `a'`, load_file('x'), `b'`", "files"),
        ("select `password` from users", "password"),
        ("select load_file ( 0x2f )", "files"),
        ("select LOAD_FILE/**/('x')", "files"),
        ("select 1 from t procedure analyse(load_file('x'))", "files"),
        ("delete from t", "everything"),
        ("delete from t /*!99999 where a = 1*/", "everything"),
        ("select 1 from t where a = 0 or 0x31=0x31", "always"),
        ("select 1; select 2", "many"),
        ("select ';' from t where a = ';'", ""),
        ("select 1 into dumpfile 'x'", "unread"),
    ],
)
def test_mysql(text: str, rule: str) -> None:
    assert verdict(text, Dialect.MYSQL).rule == rule


@pytest.mark.parametrize(
    ("scope", "blocked"),
    [
        (SqlScope(), True),
        (SqlScope(users=("a*",), databases=("shop",)), True),
        (SqlScope(users=("bob", "ann"), applications=("psql",)), False),
        (SqlScope(databases=("other",)), False),
    ],
)
def test_whom_a_rule_is_for(scope: SqlScope, *, blocked: bool) -> None:
    assert verdict("select 1", rules=(SqlRule("all", SqlMode.BLOCK, scope=scope),)).blocked is blocked


@pytest.mark.parametrize("dialect", list(Dialect))
def test_padding_does_not_hide_a_table(dialect: Dialect) -> None:
    assert verdict("select 1 from secret" + " " * 20_000, dialect).rule == "secret"
    assert verdict("select 1 from secret" + " " * 300_000, dialect).rule == "unread"


def test_the_first_rule_decides() -> None:
    first = SqlRule("first", SqlMode.LOG, tables=("t",))
    second = SqlRule("second", SqlMode.BLOCK)
    assert verdict("select 1 from t", rules=(first, second)).rule == "first"
    assert verdict("select 1 from u", rules=(first, second)).words == "firewall rule second: every statement"
