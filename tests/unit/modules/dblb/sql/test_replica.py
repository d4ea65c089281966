"""When a replica may answer."""

import pytest

from marchproxy.modules.dblb.sql import Dialect, Reader, Standing, Syntax, Volatility, replica_obstacle

KNOWN = {
    "now": Volatility.STABLE,
    "lower": Volatility.IMMUTABLE,
    "random": Volatility.VOLATILE,
    "nextval": Volatility.IMMUTABLE,  # a catalogue that is wrong changes nothing
    "pg_advisory_xact_lock": Volatility.STABLE,
    "last_insert_id": Volatility.STABLE,
}


def obstacle(text: str, dialect: Dialect = Dialect.POSTGRES, standing: Standing | None = None) -> str | None:
    facts = Reader(Syntax(dialect)).facts(text.encode())
    return replica_obstacle(facts, KNOWN.get, standing=standing or Standing())


@pytest.mark.parametrize(
    "text",
    [
        "select lower(a), now() from t where b = $1",
        "with x as (select 1) select * from x",
        "select f(1) /* marchproxy: replica */",
        "table t",
    ],
)
def test_a_replica_may(text: str) -> None:
    assert obstacle(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("selec 1", "not understood"),
        ("select 1; select 2", "2 statements"),
        ("", "0 statements"),
        ("insert into t values (1)", "not a plain SELECT"),
        ("show all", "not a plain SELECT"),
        ("execute p", "not a plain SELECT"),
        ("select 1 into t", "not a plain SELECT"),
        ("with x as (update t set a = 1 returning 1) select 1", "not a plain SELECT"),
        ("select 1 from t for update", "locks"),
        ("select 1 from (select 1 from t for no key update) x", "locks"),
        ("select nextval('s')", "writes"),
        ("select currval('s')", "session's own"),
        ("select set_config('a', 'b', true)", "changes a setting"),
        ("select pg_advisory_lock(1)", "holds"),
        ("select pg_advisory_xact_lock(1)", "session's own"),
        ("select random()", "random() is volatile"),
        ("select f(1)", "whether f() is volatile is not known"),
        ("select 1 operator(s.+) 2", "is not known"),
        ("select 1 /* marchproxy: primary */", "a comment asks"),
        ("/* marchproxy: replica */ delete from t", "not a plain SELECT"),
        ("/* marchproxy: replica */ select nextval('s')", "writes"),
    ],
)
def test_a_replica_may_not(text: str, reason: str) -> None:
    assert reason in (obstacle(text) or "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select last_insert_id()", "session's own"),
        ("select get_lock('a', 1)", "holds"),
        ("select 1 from t lock in share mode", "locks"),
        ("select @a", "holds"),
        ("select 1 /*!50000 into outfile 'x' */", "not understood"),
        ("select sleep(1)", "not known"),
    ],
)
def test_mysql(text: str, reason: str) -> None:
    assert reason in (obstacle(text, Dialect.MYSQL) or "")
    assert obstacle("select now()", Dialect.MYSQL) is None


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (Standing(open=True, read_only=True), ""),
        (Standing(open=True), "may write"),
        (Standing(open=True, read_only=True, bound=True), "server already"),
        (Standing(open=True, read_only=True, isolation="serializable"), "serializable"),
        (Standing(isolation="serializable"), "serializable"),
    ],
)
def test_in_a_transaction(standing: Standing, reason: str) -> None:
    assert (obstacle("select 1", standing=standing) or "").endswith(reason)
    assert bool(obstacle("select 1", standing=standing)) is bool(reason)
