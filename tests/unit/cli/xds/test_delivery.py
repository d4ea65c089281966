"""Who is given what, and when."""

import asyncio

import pytest

from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.counts import Counts
from marchproxy.cli.xds.delivery import Delivery
from marchproxy.cli.xds.keeping import Keeper, Kept
from marchproxy.cli.xds.settings import NodeSettings, XdsSettings
from marchproxy.contract.document import decode
from marchproxy.engines.envoy.validation import Fault
from marchproxy.engines.envoy.xds import Identity, ResourceType
from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.metrics import new_registry
from marchproxy.model.problem import InvalidValue

EDGE = Identity("edge")


def catalogue(*paths: str, nodes: tuple[NodeSettings, ...] = ()) -> Catalogue:
    routes = "".join(f"- {{id: r{n}, path: {path}, backends: [p]}}\n" for n, path in enumerate(paths))
    document = f"listeners: [{{name: web, address: '127.0.0.1:81'}}]\npools: [{{name: p}}]\nroutes:\n{routes or '[]'}"
    return Catalogue(decode(document.encode()), nodes)


def delivery(folder, **settings) -> Delivery:
    return Delivery(
        XdsSettings.model_validate(settings),
        validator=None,
        keeper=Keeper(folder / "kept"),
        counts=Counts(new_registry()),
        clock=VirtualClock(),
    )


def routes(found: Delivery, identity: Identity = EDGE) -> bytes:
    snapshot = found.assign(identity)
    return b"" if snapshot is None else snapshot.of(ResourceType.ROUTE)["web"].body.value


async def test_nobody_is_given_anything_before_there_is_something(tmp_path):
    assert delivery(tmp_path).assign(EDGE) is None


async def test_without_nodes_a_change_is_in_force_at_once(tmp_path):
    found = delivery(tmp_path)
    for path in (b"/one", b"/two"):
        await found.deliver(catalogue(path.decode()))
        assert path in routes(found)
    assert found.faults() == {}


async def test_an_entry_that_is_new_is_given_its_part_and_one_that_is_gone_nothing(tmp_path):
    found = delivery(tmp_path)
    await found.deliver(catalogue("/one"))
    await found.deliver(catalogue("/two", nodes=(NodeSettings(id="edge"),)))
    assert b"/two" in routes(found)
    assert found.assign(Identity("other")) is None


async def test_what_was_kept_is_given_until_there_is_something_newer(tmp_path):
    before = delivery(tmp_path)
    await before.deliver(catalogue("/one"))
    kept = Keeper(tmp_path / "kept").load()
    assert isinstance(kept, Kept)
    found = delivery(tmp_path)
    found.resume(kept)
    assert b"/one" in routes(found)
    await found.deliver(catalogue("/two"))
    assert b"/two" in routes(found)


class Judge:
    """Refuses the route of an id."""

    async def check(self, snapshot):
        return (Fault(ResourceType.ROUTE, "web", "r1", "no"),)


async def test_what_a_judge_refuses_is_told_by_its_place_in_the_document(tmp_path):
    found = Delivery(
        XdsSettings(),
        validator=Judge(),  # type: ignore[arg-type]
        keeper=Keeper(tmp_path),
        counts=Counts(new_registry()),
        clock=VirtualClock(),
    )
    with pytest.raises(InvalidValue) as refused:
        await found.judge(catalogue("/one", "/two", nodes=(NodeSettings(routes=("r1",)),)))
    assert [problem.path for problem in refused.value.problems] == ["routes[1]"]


async def test_of_what_is_offered_in_quick_succession_the_newest_counts(tmp_path):
    clock = VirtualClock()
    found = Delivery(
        XdsSettings.model_validate({"push_interval": 5}),
        validator=None,
        keeper=Keeper(tmp_path),
        counts=Counts(new_registry()),
        clock=clock,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(found.run())
        found.offer(catalogue("/one"))
        await clock.elapse(1)
        assert b"/one" in routes(found)
        found.offer(catalogue("/two"))
        found.offer(catalogue("/three"))
        await clock.elapse(3)
        assert b"/one" in routes(found)
        await clock.elapse(2)
        assert b"/three" in routes(found)
        running.cancel()


async def test_endpoints_of_a_file_are_given_and_followed(tmp_path):
    file = tmp_path / "endpoints.yaml"
    file.write_text("[127.0.0.1:7001]")
    clock = VirtualClock()
    found = Delivery(
        XdsSettings.model_validate({"push_interval": 0}),
        validator=None,
        keeper=Keeper(tmp_path / "kept"),
        counts=Counts(new_registry()),
        clock=clock,
    )
    document = f"listeners: [{{name: web, address: '127.0.0.1:81'}}]\npools: [{{name: p, discovery: {{file: '{file}', interval: 1s}}}}]\nroutes: [{{id: r, backends: [p]}}]"

    def given() -> str:
        snapshot = found.assign(EDGE)
        return "" if snapshot is None else str(snapshot.of(ResourceType.ENDPOINT)["pool.p"].body)

    await found.deliver(Catalogue(decode(document.encode())))
    assert "127.0.0.1" in given()
    before = given()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(found.run())
        file.write_text("[127.0.0.1:7001, 127.0.0.2:7002]")
        while given() == before:
            await clock.elapse(0.5)
            await asyncio.sleep(0.01)  # the file is read in a thread
        running.cancel()
    assert "127.0.0.2" in given()
