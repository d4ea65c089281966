"""What survives a restart, and files that are not what they should be."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from marchproxy.model.judging import RolloutLimits
from marchproxy.model.listener import Listener
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Verdict
from marchproxy.model.ramp import Ramp, Shift
from marchproxy.model.rollout import Decision, Rollout
from marchproxy.model.rollout import Verdict as Ruling
from marchproxy.model.route import BackendRef, PoolName, Route, RouteId, RouteMatch
from marchproxy.model.state import DesiredState
from marchproxy.nlb.service.memory import Saved, Saver, dump, load, parse
from marchproxy.nlb.state.member import Member, Moment
from marchproxy.nlb.state.progress import Progress
from marchproxy.nlb.state.table import Entry, RoutingTable
from marchproxy.nlb.state.verdicts import Answer

NOW = Moment(7.0, datetime(2030, 1, 1, tzinfo=UTC))
ALB = ModuleInstance(
    InstanceId("alb-1"),
    ModuleType.ALB,
    "10.0.0.1:50051",
    Version("v2"),
    HealthStatus.HEALTHY,
    traffic_endpoints=(TrafficEndpoint("http", Protocol.HTTP, "10.0.0.1:80", proxy_protocol=True),),
    metadata={"zone": "a"},
)
SHOP = Route(RouteId("shop"), RouteMatch(("shop.example",)), (BackendRef(PoolName("theirs")),))
ANSWER = Answer(Verdict(can_handle=True, priority=3, reason="yes"), "r", SHOP)
SAVED = Saved(
    members=(Member(ALB, "r", NOW.wall, NOW),),
    table=RoutingTable({SHOP.route_id: Entry((("", SHOP), ("alb-1", SHOP)), NOW.wall)}),
    answers={(ALB.instance_id, "web"): ANSWER},
    desired=DesiredState(listeners=(Listener("web", "127.0.0.1", 8000),)),
    base="abc",
    checksum="def",
    progress=Progress(
        modified=True,
        shifts={"web": Shift(Version("v1"), NOW.wall)},
        ramps={
            "web": Ramp(
                Rollout(
                    Version("v2"), 5, "web", decisions=(Decision(NOW.wall, Ruling.ADVANCED, "started", 0, 5),)
                ),
                RolloutLimits(steps=(5, 25)),
                NOW.wall,
            )
        },
    ),
)


def test_what_was_saved_comes_back():
    back = parse(dump(SAVED), NOW)
    assert replace(back, answers={}) == replace(SAVED, answers={})
    ((key, answer),) = back.answers.items()
    assert key == (ALB.instance_id, "web")
    assert answer.verdict == ANSWER.verdict
    assert answer.registration_id == ""  # so that it is asked again


GOOD = dump(SAVED)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": 2}',
        GOOD[: len(GOOD) // 2],
        GOOD.replace(b'"members": [', b'"members": [{},'),
        GOOD.replace(b"10.0.0.1:50051", b'", "bogus": "'),
        GOOD.replace(b"MODULE_TYPE_ALB", b"MODULE_TYPE_NONE"),
        GOOD.replace(b'"127.0.0.1:8000"', b'"nowhere"'),
        GOOD.replace(b"2030-01-01", b"someday"),
    ],
)
def test_garbage_costs_only_the_memory(data, tmp_path):
    path = tmp_path / "registry.json"
    path.write_bytes(data)
    assert load(path, NOW) == Saved()


def test_no_file_and_a_directory_in_its_place(tmp_path):
    assert load(tmp_path / "missing", NOW) == Saved()
    assert load(tmp_path, NOW) == Saved()


async def test_saving_writes_what_is_true_then(tmp_path):
    path = tmp_path / "registry.json"
    saver = Saver(path, lambda: replace(SAVED, base="new"))
    saver.touch()
    await saver.save()
    assert load(path, NOW).base == "new"


async def test_a_disk_that_refuses_does_not_stop_the_nlb(tmp_path):
    await Saver(tmp_path / "missing" / "registry.json", lambda: SAVED).save()
