"""What the commands that change versions ask for."""

import asyncio
from types import SimpleNamespace

import pytest

from marchproxy.cli.change import Where
from marchproxy.contract.convert import rollout_limits_from_pb
from marchproxy.contract.fleet.changing import Pace, promote, roll_back, set_weight
from marchproxy.model.judging import RolloutLimits


def asked(change):
    """The request that a change makes."""
    requests = []

    async def call(request, *, timeout):
        requests.append(request)

    stub = SimpleNamespace(SetTrafficWeight=call, Rollback=call, PromoteVersion=call)
    asyncio.run(change(stub, 1.0))
    return requests[0]


@pytest.mark.parametrize(
    ("where", "target"),
    [(Where(), ""), (Where(route="shop"), "shop"), (Where(listener="web"), "web"), (Where(listener="*"), "")],
)
def test_where_a_change_goes(where, target):
    to = where.target
    for change in (set_weight("v2", 5, to), roll_back("", to), promote("v2", to, Pace())):
        assert asked(change).route_id == target


@pytest.mark.parametrize(
    ("pace", "immediate", "limits"),
    [
        (Pace(), True, RolloutLimits()),
        (Pace(step=25), False, RolloutLimits(step_percent=25)),
        (Pace(steps=(5, 50)), False, RolloutLimits(steps=(5, 50))),
        (
            Pace(5, (), RolloutLimits(interval=2.5, min_requests=100)),
            False,
            RolloutLimits(step_percent=5, interval=2.5, min_requests=100),
        ),
    ],
)
def test_a_promotion_keeps_the_limits_that_are_not_given(pace, immediate, limits):
    request = asked(promote("v2", "", pace))
    assert request.immediate is immediate
    assert rollout_limits_from_pb(request) == limits
