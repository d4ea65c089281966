"""What a statement leaves in a server's session: told from few bytes, read where there is doubt, and never missed."""

import pytest

from marchproxy.modules.dblb.postgres.pinning import may_leave, residue, unfollowed
from marchproxy.modules.dblb.sql import Dialect, Reader, Syntax

REPORTED = {"TimeZone": "UTC", "application_name": "", "server_version": "15.18 (Debian)"}
OLD = {**REPORTED, "server_version": "11.4"}


def reason(text: str, reported: dict[str, str] | None = None) -> str:
    """Why it pins, by all that is looked at for a query."""
    message = b"Q\0\0\0\0" + text.encode() + b"\0"
    if not may_leave(message, 5):
        return ""
    left = residue(text.encode(), Reader(Syntax(Dialect.POSTGRES)))
    return "" if left is None else left.reason(reported or REPORTED)


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("listen a", "listen"),
        ("  \n LiSTEN a;", "listen"),
        ("-- why\nlisten a", "listen"),
        ("load 'auto_explain'", "load"),
        ("prepare a as select 1", "prepare"),
        ("select 1; prepare a as select 1", "prepare"),
        ("update t set a = 1; listen a", "listen"),
        ("create temp table a ()", "temporary table"),
        ("create table pg_temp.a ()", "temporary table"),
        ("select 1 INTO TEMP a", "temporary table"),
        ("SELECT 1 as a Into Temporary b;", "temporary table"),
        ("with a as (select 1) select * into temp b from a", "temporary table"),
        ("select pg_advisory_lock(1)", "advisory lock"),
        ("insert into t values (PG_TRY_ADVISORY_LOCK(1))", "advisory lock"),
        ('select U&"pg\\005fadvisory_lock"(1)', "advisory lock"),
        ("declare a cursor with hold for select 1", "cursor with hold"),
        ("set role a", "set role"),
        ("set session authorization a", "set session_authorization"),
        ("set statement_timeout = 1; select 1", "set statement_timeout"),
        ("select set_config('work_mem', '1MB', false)", "set work_mem"),
        ("select set_config(a, b, false) from t", "set_config"),
        ("set session characteristics as transaction read only", "set session characteristics"),
        ("set extra_float_digits = 0", "set extra_float_digits"),
        ("listen", "not understood"),
    ],
)
def test_what_pins(text, pins):
    assert reason(text) == pins


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "SELECT abalance FROM pgbench_accounts WHERE aid = 5;",
        "select 1; select 2;",
        "select now(), timestamp '2020-01-01', _configured from temperatures",
        "insert into temporary_names values ('set a to b')",
        "update holders set a = 1 where b = 'listen'",
        "begin; set local statement_timeout = 1; commit",
        "set timezone to 'UTC'",
        "set time zone 'UTC'",
        "set extra_float_digits = 3",
        "reset statement_timeout",
        "discard all",
        "declare a cursor for select 1",
        "select pg_advisory_xact_lock(1), pg_advisory_unlock_all()",
        "select set_config('statement_timeout', '1', true)",
        "create function a() returns int set search_path = b language sql as 'select 1'",
        "explain create table pg_class_temp as select 1",
    ],
)
def test_what_does_not(text):
    assert reason(text) == ""


@pytest.mark.parametrize(
    ("asked", "reported", "extras"),
    [
        ({"TimeZone": "UTC", "application_name": "a"}, REPORTED, set()),
        ({"timezone": "UTC"}, REPORTED, set()),
        ({"search_path": "a"}, REPORTED, {"search_path"}),
        ({"search_path": "a"}, {**REPORTED, "search_path": ""}, set()),
        ({"extra_float_digits": "2"}, REPORTED, set()),
        ({"extra_float_digits": "2"}, OLD, {"extra_float_digits"}),
        ({"statement_timeout": "1"}, REPORTED, {"statement_timeout"}),
    ],
)
def test_settings_that_no_server_reports(asked, reported, extras):
    assert unfollowed(asked, reported).keys() == extras
