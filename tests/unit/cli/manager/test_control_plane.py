"""What nodes are given of what is in force, and what is said of proposals."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from marchproxy.cli.manager.control_plane import Feed
from marchproxy.cli.xds.counts import Counts
from marchproxy.cli.xds.delivery import Delivery
from marchproxy.cli.xds.keeping import Keeper
from marchproxy.cli.xds.settings import PlaneSettings
from marchproxy.contract.document import checksum, decode, encode
from marchproxy.engines.envoy.validation import Fault
from marchproxy.engines.envoy.xds import Identity, ResourceType
from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.metrics import new_registry
from marchproxy.model.record import Event
from marchproxy.model.state import DesiredState

EDGE = Identity("edge")
SETTINGS = PlaneSettings.model_validate({"push_interval": 0.1})


def state(path: str, more: str = "") -> DesiredState:
    document = f"""
listeners: [{{name: web, address: "127.0.0.1:81"}}]
authentication: [{{name: staff, kind: basic, file: /etc/users}}]
pools: [{{name: p}}]
routes: [{{id: r, path: {path}, backends: [p]{more}}}]
"""
    return decode(document.encode())


UNSERVED = state("/staff", ", authentication: [staff]")


class Judge:
    """Counts what it is asked, and finds nothing wrong but with the path /bad."""

    def __init__(self) -> None:
        self.asked = 0

    async def check(self, snapshot: Any) -> tuple[Fault, ...]:
        self.asked += 1
        routes = snapshot.of(ResourceType.ROUTE).values()
        bad = [resource.name for resource in routes if b"/bad" in resource.body.value]
        return tuple(Fault(ResourceType.ROUTE, name, "r", "Envoy says no") for name in bad)


class Manager:
    """As much of a desk as is worked with."""

    def __init__(self, wanted: DesiredState) -> None:
        self.clock = VirtualClock()
        self.revisions = self
        self.store = self
        self.events: list[Event] = []
        self.number = 0
        self.put_in_force(wanted)

    def put_in_force(self, wanted: DesiredState) -> None:
        self.number += 1
        head = SimpleNamespace(number=self.number, checksum=checksum(encode(wanted)))
        self.current = SimpleNamespace(head=head, state=wanted)

    async def write_event(self, event: Event) -> None:
        self.events.append(event)


class Plane:
    """A feed with all around it."""

    def __init__(self, folder: Any, wanted: DesiredState) -> None:
        self.manager, self.judge, self.keeper = Manager(wanted), Judge(), Keeper(folder / "kept")
        validator: Any = self.judge
        desk: Any = self.manager
        self.delivery = Delivery(
            SETTINGS,
            validator=validator,
            keeper=self.keeper,
            counts=Counts(new_registry()),
            clock=self.manager.clock,
        )
        self.feed = Feed(SETTINGS, self.delivery, desk)

    async def begin(self) -> None:
        await self.feed.begin(self.keeper)

    async def look(self) -> None:
        """Look once, and have what is offered delivered."""
        await self.feed.look()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.delivery.run())
            await self.manager.clock.elapse(1)
            running.cancel()

    def given(self) -> bytes:
        snapshot = self.delivery.assign(EDGE)
        return b"" if snapshot is None else snapshot.of(ResourceType.ROUTE)["web"].body.value


async def test_what_is_in_force_is_given_and_followed(tmp_path: Any) -> None:
    plane = Plane(tmp_path, state("/one"))
    await plane.begin()
    assert b"/one" in plane.given()
    plane.manager.put_in_force(state("/two"))
    await plane.look()
    assert b"/two" in plane.given()
    assert plane.manager.events == []
    asked = plane.judge.asked
    await plane.look()
    assert plane.judge.asked == asked


async def test_what_was_examined_is_not_compiled_again(tmp_path: Any) -> None:
    plane = Plane(tmp_path, state("/one"))
    await plane.begin()
    wanted = state("/two")
    assert await plane.feed.examine(wanted, checksum(encode(wanted))) == ()
    assert b"/one" in plane.given()
    plane.manager.put_in_force(wanted)
    asked = plane.judge.asked
    await plane.feed.look()
    assert plane.judge.asked == asked
    await plane.look()
    assert b"/two" in plane.given()


@pytest.mark.parametrize(
    ("wanted", "path"), [(UNSERVED, "routes[0].authentication"), (state("/bad"), "routes[0]")]
)
async def test_what_nodes_could_not_be_given_is_told_beforehand(
    tmp_path: Any, wanted: DesiredState, path: str
) -> None:
    plane = Plane(tmp_path, state("/one"))
    await plane.begin()
    found = await plane.feed.examine(wanted, checksum(encode(wanted)))
    assert {problem.path for problem in found} == {path}


async def test_what_cannot_be_given_leaves_nodes_with_what_they_had_and_holds_up_nobody(
    tmp_path: Any,
) -> None:
    before = Plane(tmp_path, state("/one"))
    await before.begin()
    plane = Plane(tmp_path, UNSERVED)
    await plane.begin()
    assert b"/one" in plane.given()
    assert await plane.feed.examine(UNSERVED, "any") == ()
    for _ in range(2):
        await plane.look()
    assert [(event.kind, event.severity) for event in plane.manager.events] == [("xds.behind", "error")]
    assert "is not served over xDS" in plane.manager.events[0].message
    plane.manager.put_in_force(state("/two"))
    await plane.look()
    assert b"/two" in plane.given()
    assert [event.kind for event in plane.manager.events] == ["xds.behind", "xds.current"]


async def test_without_anything_nodes_are_not_answered(tmp_path: Any) -> None:
    plane = Plane(tmp_path, UNSERVED)
    await plane.begin()
    assert plane.given() == b""
