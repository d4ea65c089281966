"""What versions did, from cumulative counters that begin and end as they like."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from marchproxy.model.judging import Sample
from marchproxy.model.listener import Listener
from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance, ModuleType, Version
from marchproxy.nlb.dataplane.plane import ConnectionCounts
from marchproxy.nlb.rules.canary import Tally, add, all_heard, open_tally
from marchproxy.nlb.state.member import Member, Moment, Standing, Stats

START = datetime(2030, 1, 1, tzinfo=UTC)
WEB = Listener("web", "127.0.0.1", 80)
V1, V2 = Version("v1"), Version("v2")


def member(
    version: str, at: float, total: int = 0, failed: int = 0, *, registration: str = "r", **more
) -> Member:
    """An instance of a version that was last heard so many seconds after its registration."""
    instance = ModuleInstance(
        InstanceId(f"alb-{version}"),
        more.get("kind", ModuleType.ALB),
        "10.0.0.1:1",
        Version(version),
        HealthStatus.HEALTHY,
    )
    heard = Moment(at, START + timedelta(seconds=at))
    stats = Stats(total_requests=total, failed_requests=failed, p99_latency_ms=more.get("p99", 0.0))
    return Member(instance, registration, START, heard, stats=stats)


def opened(**totals: int) -> dict:
    return {("web", InstanceId(f"alb-{version}")): ConnectionCounts(total=n) for version, n in totals.items()}


def follow(tally: Tally, *readings: tuple[list[Member], dict]) -> Tally:
    for members, connections in readings:
        tally = add(tally, members, connections, [WEB])
    return tally


def test_requests_count_from_the_first_report_of_the_window():
    tally = follow(
        open_tally({}, since=10.0),
        ([member("v1", 9, 500, 50), member("v2", 9, 5)], {}),  # of the time before
        ([member("v1", 11, 900, 90), member("v2", 12, 10)], {}),
        ([member("v1", 21, 1000, 91, p99=7.0), member("v2", 22, 15, 3, p99=9.0)], {}),
        (
            [member("v1", 31, 1100, 92, p99=8.0), member("v2", 22, 15, 3, p99=9.0)],
            {},
        ),  # read twice, counted once
    )
    assert tally.samples(V2, by_requests=True) == (Sample(5, 3, 9.0), Sample(200, 2, 8.0))
    assert tally.by_requests


def test_what_is_not_of_the_listeners_modules_does_not_count():
    other = [member("v2", at, total, kind=ModuleType.DBLB) for at, total in ((11, 5), (21, 50))]
    tally = follow(open_tally({}, since=10.0), *(([one], {}) for one in other))
    assert tally.samples(V2, by_requests=True) == (Sample(), Sample())


@pytest.mark.parametrize(
    ("second", "requests"),
    [
        (member("v2", 21, 30), 20),
        (member("v2", 21, 4), 4),  # its engine was started anew
        (member("v2", 21, 400, registration="s"), 0),  # another process: it may tell of days
    ],
)
def test_counters_that_start_anew(second, requests):
    tally = follow(open_tally({}, since=10.0), ([member("v2", 11, 10)], {}), ([second], {}))
    assert tally.samples(V2, by_requests=True)[0].requests == requests


def test_connections_stand_for_requests_where_there_are_none_and_failed_ones_count_always():
    members = [member("v1", 11), member("v2", 11)]
    key = ("web", InstanceId("alb-v2"))
    tally = follow(
        open_tally(opened(v1=70), since=10.0),
        (members, opened(v1=80) | {key: ConnectionCounts(total=1, failed=2)}),
        (members, opened(v1=90) | {key: ConnectionCounts(total=1, failed=5), ("raw", key[1]): ConnectionCounts(failed=9)}),
    )  # fmt: skip
    assert not tally.by_requests
    assert tally.samples(V2, by_requests=False) == (Sample(6, 5), Sample(20, 0))
    assert tally.samples(V2, by_requests=True) == (Sample(5, 5), Sample(0, 0))


def test_connections_of_a_data_plane_that_was_restarted():
    members = [member("v1", 11)]
    tally = follow(
        open_tally(opened(v1=70), since=0.0), (members, opened(v1=3)), (members, {}), (members, opened(v1=4))
    )
    assert tally.samples(V2, by_requests=False)[1] == Sample(4)


@pytest.mark.parametrize(
    ("standing", "at", "heard"),
    [
        (Standing.ACTIVE, 20.0, True),
        (Standing.ACTIVE, 19.9, False),
        (Standing.PROVISIONAL, 19.9, False),
        (Standing.MISSING, 1.0, True),  # nobody waits for it
        (Standing.LEAVING, 1.0, True),
    ],
)
def test_versions_are_compared_when_everybody_has_reported(standing, at, heard):
    late = replace(member("v2", at), standing=standing)
    assert all_heard([member("v1", 25.0), late], [WEB], 20.0) is heard
