"""What servers say of themselves, and who is the primary then."""

import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.mysql.sight import Role, Sight, elect, failed, see, status_statement

ONE, TWO = HostPort("one", 3306), HostPort("two", 3306)
PRIMARY, REPLICA = Sight(Role.PRIMARY, 0.0), Sight(Role.REPLICA, 1.0)


def status(io=b"Yes", sql=b"Yes", behind=b"3", word="slave", source="master"):
    return {f"{word}_io_running": io, f"{word}_sql_running": sql, f"seconds_behind_{source}": behind}


@pytest.mark.parametrize(
    ("read_only", "rows", "sight"),
    [
        (b"0", [], Sight(Role.PRIMARY, 0.0)),
        (b"1", [], Sight(Role.UNKNOWN)),
        (b"1", [status()], Sight(Role.REPLICA, 3.0)),
        (b"0", [status()], Sight(Role.REPLICA, 3.0, writable=True)),
        (b"1", [status(word="replica", source="source")], Sight(Role.REPLICA, 3.0)),
        (b"1", [status(sql=b"No", behind=None)], Sight(Role.REPLICA, None)),
        (b"1", [status(), status(behind=b"7")], Sight(Role.REPLICA, 7.0)),
        (b"1", [status(), status(behind=None)], Sight(Role.REPLICA, None)),
        (b"0", [status(io=b"No", sql=b"No", behind=None)], Sight(Role.PRIMARY, 0.0)),
        (b"0", [status(io=b"No", behind=None)], Sight(Role.REPLICA, None, writable=True)),
    ],
)
def test_what_a_server_says_of_itself(read_only, rows, sight):
    assert see({"ro": read_only}, rows) == sight


@pytest.mark.parametrize(
    ("one", "two", "current", "elected"),
    [
        (PRIMARY, REPLICA, None, ONE),
        (REPLICA, PRIMARY, ONE, TWO),
        (PRIMARY, PRIMARY, TWO, TWO),  # the other one came back, and does not know
        (failed(PRIMARY, "gone"), REPLICA, ONE, ONE),  # nobody else: it may be back soon
        (failed(PRIMARY, "gone"), PRIMARY, ONE, TWO),
        (REPLICA, REPLICA, ONE, None),
        (Sight(), Sight(), None, None),
        (failed(PRIMARY, "gone"), REPLICA, None, None),
    ],
)
def test_who_is_the_primary(one, two, current, elected):
    assert elect({ONE: one, TWO: two}, current) == elected


@pytest.mark.parametrize(
    ("version", "statement"),
    [
        ("8.0.21", b"SHOW SLAVE STATUS"),
        ("8.0.22", b"SHOW REPLICA STATUS"),
        ("9.1.0-commercial", b"SHOW REPLICA STATUS"),
        ("5.5.5-10.11.6-MariaDB-0+deb12u1-log", b"SHOW SLAVE STATUS"),
        ("11.4.2-MariaDB", b"SHOW SLAVE STATUS"),
    ],
)
def test_how_a_server_is_asked_for_its_replication(version, statement):
    assert status_statement(version) == statement


def test_one_that_follows_a_server_of_another_pool_is_the_primary_of_its_own():
    sight = Sight(Role.REPLICA, 0.0, writable=True)
    assert elect({ONE: sight}, None) == ONE
    assert elect({ONE: sight, TWO: Sight(Role.UNKNOWN)}, None) is None
    assert elect({ONE: failed(sight, "gone")}, None) is None


@pytest.mark.parametrize(
    ("mode", "odd"),
    [(b"STRICT_TRANS_TABLES", False), (b"REAL_AS_FLOAT,ANSI_QUOTES", True), (b"NO_BACKSLASH_ESCAPES", True)],
)
def test_a_server_that_reads_texts_in_its_own_way(mode, odd):
    assert see({"ro": b"1", "mode": mode}, [status()]).odd is odd
