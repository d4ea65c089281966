"""Where a session would go."""

from dataclasses import replace

import pytest

from marchproxy.model.choice import EndpointChoice
from marchproxy.model.database import DatabaseRoute, ReadTarget
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.route import Route
from marchproxy.modules.dblb.choices import pool_choices
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.plan import RoutePlan, Upstream
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import PoolGauge

BLUE = Upstream(BackendPool("blue", endpoints=(Endpoint("a:1"), Endpoint("b:1", 3), Endpoint("c:1"))))
GREEN = Upstream(BackendPool("green", "v2", (Endpoint("d:1"),)))
PLAN = RoutePlan(Route("r", protocol=Protocol.POSTGRES), backends=((BLUE, 75), (GREEN, 25)))
REPORTS = [
    ServerReport("blue", "a:1", "primary"),
    ServerReport("blue", "b:1", "replica"),
    ServerReport("blue", "c:1", "unknown", fault="is down"),
]
COUNTED = Counted(gauges=(PoolGauge("blue", "a:1", "primary", "d", "u", 5, 2, 0, 9),))


def choices(**options):
    return pool_choices(replace(PLAN, options=DatabaseRoute(**options)), REPORTS, COUNTED)


def test_pools_by_their_shares_and_writes_to_the_primary():
    blue, green = choices()
    assert [(one.pool, one.version, one.probability) for one in (blue, green)] == [
        ("blue", "v1", 0.75),
        ("green", "v2", 0.25),
    ]
    assert blue.endpoints == (
        EndpointChoice("a:1", 1.0, active_requests=3),
        EndpointChoice("b:1", 0.0, 3, trouble="a replica"),
        EndpointChoice("c:1", 0.0, trouble="is down"),
    )
    assert green.endpoints == (EndpointChoice("d:1", 1.0),)  # not looked at yet


def test_replicas_alone():
    blue, _ = choices(target=ReadTarget.REPLICA)
    assert [(one.address, one.probability, one.trouble) for one in blue.endpoints] == [
        ("b:1", 1.0, ""),
        ("a:1", 0.0, "the primary"),
        ("c:1", 0.0, "is down"),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ("the primary", "the primary")),
        ({"target": ReadTarget.REPLICA}, ("replicas, by connections in use",) * 2),
        ({"split_reads": True}, ("the primary; reads by replicas where that is safe",) * 2),
        (
            {"writes": "green"},
            (
                "the primary; reads only, green takes all writes",
                "the primary; takes all writes of the route",
            ),
        ),
    ],
)
def test_how_in_words(options, words):
    assert tuple(choice.policy for choice in choices(**options)) == words
