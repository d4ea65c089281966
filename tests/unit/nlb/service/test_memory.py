"""What survives a restart, and files that are not what they should be."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from marchproxy.model.judging import RolloutLimits
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    PoolName,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import BackendPool
from marchproxy.model.ramp import Ramp, Shift
from marchproxy.model.rollout import Decision, Rollout
from marchproxy.model.rollout import Verdict as Ruling
from marchproxy.model.route import BackendRef, Route, RouteId, RouteMatch
from marchproxy.model.state import DesiredState
from marchproxy.nlb.service.memory import Saved, Saver, load
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


CART = Route(RouteId("cart"), RouteMatch(("cart.example",)), (BackendRef(PoolName("carts")),))
ROUTED = replace(
    SAVED,
    desired=replace(
        SAVED.desired,
        routes=(CART,),
        pools=(BackendPool(PoolName("carts")),),
        rate_limits=(RateLimit(LimitId("l"), "cart", per_second=5),),
    ),
    table=RoutingTable(
        {
            CART.route_id: Entry((("alb-1", replace(CART, priority=7)), ("", CART)), NOW.wall),
            SHOP.route_id: Entry((("alb-1", SHOP),), NOW.wall),
        }
    ),
)


@pytest.mark.parametrize("saved", [SAVED, ROUTED], ids=["no routes of its own", "routes and a limit on one"])
async def test_what_was_saved_comes_back(saved, tmp_path):
    await Saver(tmp_path, lambda: saved).save()
    back = load(tmp_path, NOW)
    assert replace(back, answers={}) == replace(saved, answers={})
    ((key, answer),) = back.answers.items()
    assert key == (ALB.instance_id, "web")
    assert answer.verdict == ANSWER.verdict
    assert answer.registration_id == ""  # so that it is asked again


async def test_each_change_is_saved_and_what_did_not_change_stays(tmp_path):
    now = ROUTED
    saver = Saver(tmp_path, lambda: now)
    await saver.save()
    (routes,) = tmp_path.glob("routes-*")
    written = routes.stat().st_ino

    now = replace(ROUTED, base="other", members=())
    await saver.save()
    assert (load(tmp_path, NOW).base, load(tmp_path, NOW).members) == ("other", ())
    assert routes.stat().st_ino == written

    entry = Entry((("", replace(CART, priority=9)),), NOW.wall)
    now = replace(ROUTED, table=RoutingTable({**ROUTED.table.entries, CART.route_id: entry}))
    await saver.save()
    assert load(tmp_path, NOW).table == now.table
    assert len(list(tmp_path.glob("routes-*"))) == 1

    now = replace(now, desired=replace(now.desired, routes=(replace(CART, priority=9),)))
    await saver.save()
    assert (load(tmp_path, NOW).desired, load(tmp_path, NOW).table) == (now.desired, now.table)

    now = replace(now, members=(replace(ROUTED.members[0], registration_id="r2"),))
    await saver.save_members()
    assert load(tmp_path, NOW).members[0].registration_id == "r2"


REGISTRY, DESIRED = "registry.json", "desired.json"


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (name, damage)
        for name in (REGISTRY, DESIRED, "routes")
        for damage in (
            lambda _: b"",
            lambda _: b"\xff\xfe",
            lambda _: b"[]",
            lambda _: b"{}",
            lambda _: b'{"format": 2}',
            lambda good: good[: len(good) // 2],
        )
    ]
    + [
        (REGISTRY, lambda good: good.replace(b'"members": [', b'"members": [{},')),
        (REGISTRY, lambda good: good.replace(b"10.0.0.1:50051", b'", "bogus": "')),
        (REGISTRY, lambda good: good.replace(b"MODULE_TYPE_ALB", b"MODULE_TYPE_NONE")),
        (REGISTRY, lambda good: good.replace(b"2030-01-01", b"someday")),
        (DESIRED, lambda good: good.replace(b'"127.0.0.1:8000"', b'"nowhere"')),
        (DESIRED, lambda good: good.replace(b'"routes": "routes', b'"routes": "../routes/x')),
        ("routes", lambda good: good.replace(b'"announced": [', b'"announced": [], "x": [')),
        ("routes", lambda good: good.replace(b'"id": "cart"', b'"id": "other"')),
        ("routes", lambda good: good.replace(b"2030-01-01", b"someday")),
    ],
)
async def test_garbage_costs_only_what_it_damaged(name, damage, tmp_path):
    await Saver(tmp_path, lambda: ROUTED).save()
    (path,) = tmp_path.glob(f"{name}*")
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    back = load(tmp_path, NOW)
    if name == REGISTRY:
        assert back == replace(ROUTED, members=(), answers={})
    else:
        assert replace(back, answers={}) == Saved(members=ROUTED.members)


async def test_no_files_and_directories_in_their_place(tmp_path):
    assert load(tmp_path / "missing", NOW) == Saved()
    for name in (REGISTRY, DESIRED):
        (tmp_path / name).mkdir()
    assert load(tmp_path, NOW) == Saved()


async def test_routes_that_are_gone_take_the_configuration_with_them(tmp_path):
    await Saver(tmp_path, lambda: ROUTED).save()
    (routes,) = tmp_path.glob("routes-*")
    routes.unlink()
    assert replace(load(tmp_path, NOW), answers={}) == Saved(members=ROUTED.members)


async def test_saving_writes_what_is_true_then(tmp_path):
    saver = Saver(tmp_path, lambda: replace(SAVED, base="new"))
    saver.touch()
    await saver.save()
    assert load(tmp_path, NOW).base == "new"


async def test_a_disk_that_refuses_does_not_stop_the_nlb(tmp_path):
    saver = Saver(tmp_path / "missing", lambda: SAVED)
    await saver.save()
    await saver.save_members()
