"""Rollouts that were started through a manager, seen to their ends: with a store, and doubles of all else."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from marchproxy.contract.document import decode
from marchproxy.contract.fleet.changing import Pace
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.clock import VirtualClock
from marchproxy.manager.operating.rollouts import Rollouts
from marchproxy.manager.operating.targets import NotDone, Target
from marchproxy.manager.watching import LiveView, RolloutView, Standing
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.record import Event
from marchproxy.model.revision import Author
from marchproxy.store import Sealer, Store, StoreSettings, open_store
from tests.unit.manager.watching.seen import NOW, part, view

STATE = decode(
    b"""
routes: [{id: web, backends: [{pool: blue, weight: 90}, {pool: green, weight: 10}]}]
pools:
  - {name: blue, version: v1, endpoints: ["127.0.0.1:1"]}
  - {name: green, version: v2, endpoints: ["127.0.0.1:2"]}
"""
)
WEB, ADA = Target("route", "web"), Author("ada", "user")


@dataclass
class Modules:
    """Both modules; `refuse` is what the second says to a promotion."""

    asked: list[tuple[str, str, str, int]] = field(default_factory=list)
    refuse: str = ""

    async def module(self, address: str, change: Any, *, timeout: float) -> Any:
        async def note(request: Any, *, timeout: float) -> Any:
            name = type(request).__name__.removesuffix("Request")
            self.asked.append((address, name, request.version, getattr(request, "weight", 0)))
            if self.refuse and address == "b" and name == "PromoteVersion":
                error = types_pb2.Error(code=types_pb2.STATUS_CODE_UNAVAILABLE, message=self.refuse)
                return module_pb2.PromoteVersionResponse(error=error)
            return module_pb2.PromoteVersionResponse(success=True, message="begun")

        return await change(SimpleNamespace(PromoteVersion=note, SetTrafficWeight=note), timeout)


@dataclass
class Live:
    """What is seen."""

    clients: list[Modules]
    view: LiveView
    starters: dict[tuple[str, str, str], str] = field(default_factory=dict)
    beat: float = 2.0
    events: list[Event] = field(default_factory=list)

    def note(self, events: list[Event]) -> None:
        self.events += events


@dataclass
class Revisions:
    """What is in force, and what it was asked to be."""

    current: Any = field(default_factory=lambda: SimpleNamespace(state=STATE))
    leads: bool = True
    made: list[tuple[str, Any]] = field(default_factory=list)
    refusal: Exception | None = None

    async def note_rollout(self, target: str, version: str, **more: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        self.made.append(("promoted", (target, version, more["by"], more["of_listeners"])))
        return SimpleNamespace(revision=SimpleNamespace(number=7))

    async def put(self, section: str, key: str, item: Any, **more: Any) -> None:
        self.made.append(("put", (section, key, item["backends"], more["by"])))


@dataclass
class Rig:
    store: Store
    modules: Modules
    live: Live
    revisions: Revisions
    clock: VirtualClock
    rollouts: Rollouts

    async def look(self, *phases: str, seconds: float = 10) -> None:
        """Time has passed, and the modules are seen to be that far."""
        self.clock.advance(seconds)
        standings = {
            name: Standing(phase, 50, "", self.clock.now()) for name, phase in zip("ab", phases, strict=False)
        }
        phase = next((one for one in ("rolled_back", "ramping", "promoted") if one in phases), "")
        now = self.clock.now()
        found = RolloutView("route", "web", "v2", phase, 50, "why", now, (), standings)
        self.live.view = replace(self.live.view, rollouts=(found,) if phases else (), at=now)
        await self.rollouts._follow()

    async def remembered(self) -> int:
        return len(await self.store.started_rollouts())


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    settings = StoreSettings(f"sqlite:///{tmp_path / 'manager.db'}")
    async with open_store(settings, Sealer.of_file(tmp_path / "key")) as store:
        modules, clock, revisions = Modules(), VirtualClock(NOW), Revisions()
        live = Live([modules], view(part("a", address="a"), part("b", address="b")))
        rollouts = Rollouts(live, revisions, store, clock=clock)  # type: ignore[arg-type]
        yield Rig(store, modules, live, revisions, clock, rollouts)


async def start(rig: Rig) -> None:
    await rig.rollouts.start(WEB, "v2", Pace(20), by=ADA)
    rig.modules.asked.clear()


async def test_it_begins_everywhere(rig: Rig) -> None:
    done = await rig.rollouts.start(WEB, "v2", Pace(20), by=ADA)
    assert done.by == (("a", "begun"), ("b", "begun"))
    assert [(who, what) for who, what, *_ in rig.modules.asked] == [
        ("a", "PromoteVersion"),
        ("b", "PromoteVersion"),
    ]
    assert await rig.remembered() == 1
    assert rig.rollouts.version_under_way(WEB) == "v2"
    with pytest.raises(NotDone, match="is being rolled out"):
        await rig.rollouts.start(WEB, "v2", Pace(20), by=ADA)


async def test_or_nowhere(rig: Rig) -> None:
    rig.modules.refuse = "Envoy is away"
    with pytest.raises(NotDone, match="b: Envoy is away"):
        await rig.rollouts.start(WEB, "v2", Pace(20), by=ADA)
    assert rig.modules.asked[2:] == [("a", "SetTrafficWeight", "v2", 10)]  # as the document has it
    assert await rig.remembered() == 0
    assert rig.rollouts.version_under_way(WEB) == ""


async def test_promoted_by_all_it_becomes_a_revision(rig: Rig) -> None:
    await start(rig)
    await rig.look("ramping", "promoted")
    assert rig.revisions.made == []
    await rig.look("promoted", "promoted")
    assert rig.revisions.made == [("promoted", ("web", "v2", Author("ada", "rollout"), False))]
    assert await rig.remembered() == 0
    await rig.look("promoted", "promoted")
    assert len(rig.revisions.made) == 1


async def test_rolled_back_by_one_it_is_by_all(rig: Rig) -> None:
    await start(rig)
    await rig.look("rolled_back", "ramping")
    assert rig.modules.asked == [("b", "SetTrafficWeight", "v2", 0)]
    ((kind, (section, key, backends, by)),) = rig.revisions.made
    assert (kind, section, key, by) == ("put", "routes", "web", Author("ada", "rollout"))
    assert {one["pool"]: one.get("weight", 100) for one in backends} == {"blue": 100, "green": 0}
    assert await rig.remembered() == 0


async def test_a_revision_that_cannot_be_made_is_made_later(rig: Rig) -> None:
    await start(rig)
    rig.revisions.refusal = Refused(RefusalCode.UNAVAILABLE, "an NLB is away")
    await rig.look("promoted", "promoted")
    rig.revisions.refusal = None
    await rig.look("promoted", "promoted", seconds=1)  # not at once
    assert rig.revisions.made == []
    await rig.look("promoted", "promoted")
    assert len(rig.revisions.made) == 1


async def test_of_a_route_that_is_gone_nothing_is_kept(rig: Rig) -> None:
    await start(rig)
    rig.revisions.refusal = Refused(RefusalCode.NOT_FOUND, "no route")
    await rig.look("promoted", "promoted")
    assert await rig.remembered() == 0


async def test_one_that_nobody_knows_has_ended(rig: Rig) -> None:
    await start(rig)
    await rig.look()
    assert await rig.remembered() == 1
    await rig.look(seconds=60)
    assert await rig.remembered() == 0
    assert rig.live.events[-1].kind == "rollout.ended"


async def test_only_the_leader_acts(rig: Rig) -> None:
    await start(rig)
    rig.revisions.leads, rig.live.starters = False, {}
    await rig.look("promoted", "promoted")
    assert rig.revisions.made == []
    assert rig.live.starters == {("route", "web", "v2"): "ada"}  # but all know who began it


async def test_taken_back_by_hand_the_desired_shares_hold_again(rig: Rig) -> None:
    await start(rig)
    done = await rig.rollouts.end(WEB, by=ADA, needed=True)
    assert rig.modules.asked == [("a", "SetTrafficWeight", "v2", 10), ("b", "SetTrafficWeight", "v2", 10)]
    assert "v2 has 10 %" in done.message
    with pytest.raises(NotDone, match="no rollout is under way"):
        await rig.rollouts.end(WEB, by=ADA, needed=True)
    assert (await rig.rollouts.end(WEB, by=ADA, needed=False)).message == "no rollout was under way"


async def test_somebody_must_serve_it(rig: Rig) -> None:
    rig.live.view = view()
    with pytest.raises(NotDone, match="nobody that takes traffic"):
        await rig.rollouts.start(WEB, "v2", Pace(20), by=ADA)
    with pytest.raises(NotDone, match="no route"):
        await rig.rollouts.start(Target("route", "shop"), "v2", Pace(20), by=ADA)
