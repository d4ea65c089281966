"""The gate: who is let in, what is refused in which words, and what is counted."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import structlog

from marchproxy.model.database import DatabaseRoute
from marchproxy.model.limit import LimitId, LimitUnit, RateLimit
from marchproxy.model.module import Protocol
from marchproxy.model.route import Route, RouteId
from marchproxy.model.sql import SqlMode, SqlRule, SqlScope, SqlTrait
from marchproxy.modules.dblb.gate import Refusal, RefusalKind, Shut
from marchproxy.modules.dblb.limits.admission import LimitedPass
from marchproxy.modules.dblb.limits.gate import LimitGate
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Who
from marchproxy.modules.dblb.sql import Dialect, Syntax
from marchproxy.modules.dblb.tally import Tally
from marchproxy.modules.reception.limits.rate import SECOND
from marchproxy.modules.reception.limits.table import LimitTable

ANN = Who("ann", "shop", "web", "10.0.0.1", 5432)
BOB = Who("bob", "shop", "web", "10.0.0.2", 5432)
NO_DROP = SqlRule("no-drop", SqlMode.BLOCK, kinds=("drop",))


class Now:
    def __init__(self) -> None:
        self.at = 5 * SECOND

    def __call__(self) -> int:
        return self.at


def route(
    limits: Sequence[RateLimit] = (),
    firewall: Sequence[SqlRule] = (),
    protocol: Protocol = Protocol.POSTGRES,
) -> RoutePlan:
    options = DatabaseRoute(firewall=tuple(firewall))
    return RoutePlan(Route(RouteId("r"), protocol=protocol), options, limits=tuple(limits))


def plan(one: RoutePlan) -> DblbPlan:
    return DblbPlan({one.route.protocol: (one,)})


def limit(limit_id: str, **fields: object) -> RateLimit:
    return RateLimit(LimitId(limit_id), "*", **fields)  # type: ignore[arg-type]


def gate(now: Now | None = None) -> LimitGate:
    return LimitGate(LimitTable(), now or Now())


def refusals(one: LimitedPass, statements: Sequence[bytes]) -> list[str]:
    return [refusal.words if (refusal := one.refuses(text)) else "" for text in statements]


def test_where_nothing_is_limited_nothing_is_looked_at():
    one = gate().enter(route(), ANN, Tally())
    assert not one.looks
    assert (one.refuses(b"drop table t"), one.forbids(b"drop table t"), one.limits()) == (None, None, None)


def test_requests_are_counted_for_all_who_share_a_limit():
    house, tally = gate(), Tally()
    ours = route([limit("three", per_hour=3)])
    ann, bob = house.enter(ours, ANN, tally), house.enter(ours, BOB, tally)
    assert ann.looks
    assert [ann.limits(), bob.limits(), ann.refuses(b"select 1")] == [None, None, None]
    assert bob.limits() == Refusal(
        "limit three: 3 requests a hour; try again in 1200 s", RefusalKind.LIMITED, 1200.0
    )
    assert tally.limited == 1


@pytest.mark.parametrize(
    ("per", "other"),
    [
        ("user", replace(ANN, user="bob")),
        ("client", replace(ANN, address="10.0.0.2")),
        ("database", replace(ANN, database="b")),
        ("application", replace(ANN, application="b")),
    ],
)
def test_each_value_of_per_is_counted_by_itself(per: str, other: Who):
    house, tally = gate(), Tally()
    ours = route([limit("l", per_hour=1, per=per)])
    ann, again, bob = (house.enter(ours, who, tally) for who in (ANN, ANN, other))
    assert [one.limits() is None for one in (ann, again, bob)] == [True, False, True]


def test_a_request_that_one_limit_refuses_costs_nothing_at_the_others():
    house = gate()
    ours = route([limit("all", per_hour=3), limit("mine", per_hour=1, per="user")])
    ann, bob = house.enter(ours, ANN, Tally()), house.enter(ours, BOB, Tally())
    assert ann.limits() is None
    for _ in range(5):
        assert ann.limits() is not None
    assert bob.limits() is None
    assert house.enter(ours, replace(ANN, user="eve"), Tally()).limits() is None


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (limit("c", max_concurrent=1), "limit c: 1 connections at once"),
        (
            limit("c", max_concurrent=1, per="user"),
            "limit c: 1 connections at once for each user",
        ),
        (
            limit("c", per_minute=1, counts=LimitUnit.CONNECTIONS),
            "limit c: 1 connections a minute; try again in 60 s",
        ),
    ],
)
def test_who_is_one_too_many_is_shut_out(made: RateLimit, words: str):
    house, tally = gate(), Tally()
    ours = route([made])
    first = house.enter(ours, ANN, tally)
    assert not first.looks
    with pytest.raises(Shut, match="limit c") as shut:
        house.enter(ours, ANN, tally)
    assert (str(shut.value), shut.value.refusal.kind, tally.limited) == (words, RefusalKind.LIMITED, 1)
    first.leave()
    first.leave()
    if made.max_concurrent:
        house.enter(ours, ANN, tally)


def test_a_connection_that_finds_no_seat_costs_nothing_at_the_rate():
    house = gate()
    ours = route([limit("rate", per_hour=2, counts=LimitUnit.CONNECTIONS), limit("seats", max_concurrent=1)])
    first = house.enter(ours, ANN, Tally())
    for _ in range(3):
        with pytest.raises(Shut, match="limit seats"):
            house.enter(ours, ANN, Tally())
    first.leave()
    house.enter(ours, ANN, Tally())


def test_a_blocked_statement_is_not_counted_and_what_is_prepared_is_judged_once_and_counted_often():
    house, tally = gate(), Tally()
    one = house.enter(route([limit("two", per_hour=2)], [NO_DROP]), ANN, tally)
    for _ in range(3):
        refusal = one.refuses(b"DROP TABLE t")
        assert refusal == Refusal("firewall rule no-drop: statement drop", RefusalKind.BLOCKED)
    assert one.forbids(b"select 1") is None
    assert [one.limits() is None for _ in range(3)] == [True, True, False]
    assert (tally.blocked, tally.limited) == (3, 1)


def test_what_is_only_warned_of_or_logged_passes():
    tally = Tally()
    rules = (
        SqlRule("look", SqlMode.LOG, tables=("a",)),
        SqlRule("watch", SqlMode.WARN, tables=("b",)),
        SqlRule("fine", SqlMode.ALLOW, tables=("c",)),
        SqlRule("rest", SqlMode.BLOCK),
    )
    one = gate().enter(route(firewall=rules), ANN, tally)
    texts = [b"select * from a", b"select * from b", b"select * from c", b"select * from d"]
    with structlog.testing.capture_logs() as lines:
        assert refusals(one, texts) == ["", "", "", "firewall rule rest: every statement"]
    assert (tally.warned, tally.blocked) == (1, 1)
    assert [(line["log_level"], line["mode"], line["statement"]) for line in lines] == [
        ("info", "log", "select * from a"),
        ("warning", "warn", "select * from b"),
        ("warning", "block", "select * from d"),
    ]
    assert {line["user"] for line in lines} == {"ann"}


def test_not_more_is_logged_in_a_second_than_can_be_read():
    now = Now()
    one = gate(now).enter(route(firewall=[NO_DROP]), ANN, Tally())
    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            one.refuses(b"drop table t" + b" " * 1000)
        now.at += SECOND
        one.refuses(b"drop table t")
    assert (len(lines), lines[-1]["unsaid"], len(lines[0]["statement"])) == (11, 90, 200)


def test_rules_are_for_whom_they_are():
    house = gate()
    mine = replace(NO_DROP, scope=SqlScope(users=("ann",)))
    ours = route(firewall=[mine])
    ann, bob = house.enter(ours, ANN, Tally()), house.enter(ours, BOB, Tally())
    assert (ann.looks, bob.looks) == (True, False)
    assert ann.refuses(b"drop table t") is not None


def test_mysql_is_read_by_its_own_grammar():
    one = gate().enter(route(firewall=[NO_DROP], protocol=Protocol.MYSQL), ANN, Tally())
    assert [bool(words) for words in refusals(one, [b"drop table `t`", b"select 1 # drop"])] == [True, False]


def test_where_there_is_no_sql_there_are_limits_alone():
    ours = route([limit("one", per_hour=1)], [NO_DROP], Protocol.REDIS)
    one = gate().enter(ours, ANN, Tally())
    assert [one.refuses(b"drop a") is None, one.refuses(b"get a") is None] == [True, False]


UNREAD = SqlRule("unread", SqlMode.BLOCK, traits=(SqlTrait.UNPARSABLE,))


@pytest.mark.parametrize(
    ("protocol", "texts", "refused"),
    [
        (Protocol.POSTGRES, [rb"select '\' "], [False]),
        (
            Protocol.POSTGRES,
            [b"set standard_conforming_strings = off", rb"select '\''", b"select 1"],
            [False, True, False],
        ),
        (
            Protocol.POSTGRES,
            [
                b"set standard_conforming_strings = off",
                b"reset standard_conforming_strings",
                rb"select '\'",
            ],
            [False, False, False],
        ),
        (Protocol.POSTGRES, [b"set client_encoding = 'sjis'", "select 'ä'".encode()], [False, True]),
        (Protocol.MYSQL, [b"set names utf8mb4", "select 'ä'".encode()], [False, False]),
        (
            Protocol.MYSQL,
            [b"set sql_mode = 'NO_BACKSLASH_ESCAPES'", rb"select '\\'"],
            [False, True],
        ),
    ],
)
def test_a_session_that_changes_how_text_is_read_is_read_so(
    protocol: Protocol, texts: list[bytes], refused: list[bool]
):
    one = gate().enter(route(firewall=[UNREAD], protocol=protocol), ANN, Tally())
    assert [bool(words) for words in refusals(one, texts)] == refused


def test_a_session_is_read_as_its_protocol_says_in_the_next_plan_too():
    house = gate()
    one = house.enter(route(), ANN, Tally())
    one.reads(Syntax(Dialect.POSTGRES, usual_backslash=False))
    house.apply(plan(route(firewall=[UNREAD])))
    assert one.refuses(rb"select '\'") is not None


def test_a_new_plan_holds_for_those_who_are_in():
    house, tally = gate(), Tally()
    ann, bob = house.enter(route(), ANN, tally), house.enter(route(), BOB, tally)
    full = route([limit("seats", max_concurrent=1), limit("one", per_hour=1)], [NO_DROP])
    house.apply(plan(full))
    assert ann.looks
    assert ann.refuses(b"drop table t") is not None
    assert (ann.limits(), bob.limits() is None) == (None, False)
    ann.leave()
    with pytest.raises(Shut, match="seats"):  # bob is in, though he would not have been let in
        house.enter(full, ANN, tally)
    bob.leave()
    carl = house.enter(full, ANN, tally)
    house.apply(plan(route()))
    assert not carl.looks
    assert carl.limits() is None


def test_limits_are_divided_anew_when_instances_come_and_go():
    house = gate()
    ours = route([limit("ten", per_hour=10)])
    house.apply(plan(ours), 5)
    one = house.enter(ours, ANN, Tally())
    assert one.limits() is None  # of two
    house.apply(plan(ours), 1)  # what is half full stays half full
    assert [one.limits() is None for _ in range(6)] == [True] * 5 + [False]


def test_a_gate_that_closes_gives_all_seats_back():
    house = gate()
    one = house.enter(route([limit("seats", max_concurrent=1)]), ANN, Tally())
    house.close()
    one.leave()
    assert not one.looks
