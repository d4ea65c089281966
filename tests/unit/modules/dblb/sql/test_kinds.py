"""Every kind of statement that can be found is one that a rule may name."""

import pytest

from marchproxy.model.sql import SQL_KINDS
from marchproxy.modules.dblb.sql import mysql, postgres
from marchproxy.modules.dblb.sql.facts import DDL
from marchproxy.modules.dblb.sql.mysql_effects import kind_of


def test_all_of_postgres():
    assert {*postgres._KINDS.values(), *DDL, "ddl"} <= SQL_KINDS


def test_all_of_mysql():
    commands = {*mysql._PARSED, *mysql._UNREAD, *mysql._PLAIN}
    assert {kind_of(command, command) for command in commands} <= SQL_KINDS


@pytest.mark.parametrize(
    "text",
    [
        "begin", "start transaction", "commit", "rollback", "savepoint a", "rollback to a", "release a",
        "prepare transaction 'a'", "commit prepared 'a'", "rollback prepared 'a'", "analyze", "reset all",
        "revoke select on t from u", "create role r", "alter system reset all", "drop table t", "security label on table t is 'a'",
        "select * into t from u",
    ],
)  # fmt: skip
def test_what_postgres_has_by_its_text(text):
    assert postgres.read_postgres(text).kinds <= SQL_KINDS
