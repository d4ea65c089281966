"""Revisions with parts that are played: who is given what, and what is kept of shifts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from marchproxy.contract.document import checksum, decode, encode
from marchproxy.contract.fleet.client import CallFailed
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import beside
from marchproxy.manager.revising import Busy, Fleet, PartPhase, PartsRefused, Phase, Revisions
from marchproxy.model.problem import RefusalCode
from marchproxy.model.revision import Author, Draft, Summary
from marchproxy.store import Sealer, Store, StoreSettings, open_store

ANN = Author("ann", "user")
FILE = decode(
    b"pools: [{name: v1}, {name: v2}]\n"
    b"routes: [{id: a, path: /a, backends: [{pool: v1}]}, {id: b, path: /b, backends: [{pool: v1}]}]"
)


class Played:
    """Two NLBs that know two modules; what each runs, by name, and every document that each was given."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.given: dict[str, list[Any]] = {}
        self.away: set[str] = set()
        self.refusing: set[str] = set()
        self.unhealthy: set[str] = set()

    async def nlb(self, invoke: Any, *, timeout: float, address: str) -> Any:
        return await self._call(address, invoke, timeout)

    async def module(self, address: str, invoke: Any, *, timeout: float) -> Any:
        return await self._call(address, invoke, timeout)

    async def _call(self, name: str, invoke: Any, timeout: float) -> Any:
        if name in self.away:
            raise CallFailed(f"nobody answers at {name}")
        return await invoke(_Stub(self, name), timeout)

    def instance(self, name: str) -> types_pb2.ModuleInstance:
        health = (
            types_pb2.HEALTH_STATUS_UNHEALTHY if name in self.unhealthy else types_pb2.HEALTH_STATUS_HEALTHY
        )
        return types_pb2.ModuleInstance(
            instance_id=name,
            address=name,
            module_type=types_pb2.MODULE_TYPE_ALB,
            health_status=health,
            config_checksum=self.runs.get(name, ""),
        )


class _Stub:
    def __init__(self, played: Played, name: str) -> None:
        self._played, self._name = played, name

    async def GetNLBStatus(self, _: Any, *, timeout: float) -> Any:  # noqa: N802 - gRPC names it
        return nlb_pb2.GetNLBStatusResponse(
            details={"id": self._name},
            config_checksum=self._played.runs.get(self._name, ""),
            modules=[self._played.instance(name) for name in ("alb-1", "alb-2")],
        )

    async def GetStatus(self, _: Any, *, timeout: float) -> Any:  # noqa: N802
        return module_pb2.GetStatusResponse(instance=self._played.instance(self._name))

    async def UpdateConfig(self, request: Any, *, timeout: float) -> Any:  # noqa: N802
        self._update(request)
        if self._name in self._played.refusing:
            return module_pb2.UpdateConfigResponse(validation_errors=["routes[0].path: not here"])
        return module_pb2.UpdateConfigResponse(success=True)

    async def UpdateNLBConfig(self, request: Any, *, timeout: float) -> Any:  # noqa: N802
        self._update(request)
        return nlb_pb2.UpdateNLBConfigResponse(success=True)

    def _update(self, request: Any) -> None:
        if not request.validate_only and self._name not in self._played.refusing:
            self._played.runs[self._name] = request.config.checksum
            self._played.given.setdefault(self._name, []).append(request)


@pytest.fixture
def played() -> Played:
    return Played()


@pytest.fixture
async def store(tmp_path) -> AsyncIterator[Store]:
    settings = StoreSettings(f"sqlite:///{tmp_path}/manager.db")
    async with open_store(settings, Sealer.of_file(tmp_path / "secret.key")) as store:
        yield store


@asynccontextmanager
async def running(store: Store, played: Played) -> AsyncIterator[Revisions]:
    clock = SystemClock()
    fleet = Fleet(["nlb-1", "nlb-2"], clock=clock)
    fleet._client = played  # type: ignore[assignment]
    revisions = Revisions(store, fleet, clock=clock)
    await revisions.start(FILE, "f.yaml")
    async with beside(revisions.run(), name="revisions"):
        yield revisions


async def come(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def soon(revisions: Revisions) -> None:
    """Look at the parts now, rather than in two seconds."""
    revisions._tending.hurry()
    revisions._turns.wake()


ALL = ("alb-1", "alb-2", "nlb-1", "nlb-2")


async def test_parts_that_are_behind_are_given_what_is_in_force(store, played):
    played.runs = dict.fromkeys(ALL, "of another file")
    async with running(store, played) as revisions:
        await come(lambda: set(played.runs.values()) == {revisions.current.head.checksum})
        assert [request.keep_shifts for request in played.given["alb-1"]] == [
            False
        ]  # nobody knows what it was
        first = revisions.current.head.checksum
        await revisions.put("routes", "a", {"path": "/aa", "backends": ["v1"]}, by=ANN, reason="")
        await come(lambda: revisions.progress.phase is Phase.DONE)
        assert set(revisions.progress.parts.values()) == {PartPhase.REPORTS}
        played.runs["alb-2"] = first  # as it was before it went away
        revisions._tending._reconciler._not_before.clear()
        soon(revisions)
        await come(lambda: played.runs["alb-2"] == revisions.current.head.checksum)
        assert played.given["alb-2"][-1].keep_shifts
        assert [len(played.given[name]) for name in ALL] == [2, 3, 2, 2]


@pytest.mark.parametrize(
    ("item", "restated"),
    [
        ({"id": "a", "path": "/a", "backends": ["v1"], "timeout": 3}, []),
        ({"id": "a", "path": "/a", "backends": ["v2"]}, ["a"]),
        ({"id": "c", "path": "/c", "backends": ["v2"]}, []),
    ],
)
async def test_only_weights_that_are_edited_are_restated(store, played, item, restated):
    async with running(store, played) as revisions:
        await revisions.put("routes", item["id"], item, by=ANN, reason="")
        for name in ALL:
            assert played.given[name][-1].keep_shifts
            assert list(played.given[name][-1].restated) == restated


async def test_a_part_that_refuses_is_named_with_its_path(store, played):
    played.refusing = {"alb-2"}
    async with running(store, played) as revisions:
        dry = await revisions.put("pools", "v3", {}, by=ANN, reason="", dry_run=True)
        assert [part.name for part in dry.parts if part.problems] == ["alb-2"]
        with pytest.raises(PartsRefused, match="alb-2: not here") as refused:
            await revisions.put("pools", "v3", {}, by=ANN, reason="")
        assert [(problem.path, problem.message) for problem in refused.value.problems] == [
            ("routes[0].path", "alb-2: not here")
        ]
        assert refused.value.code is RefusalCode.INVALID_ARGUMENT
        assert revisions.progress.phase is Phase.REFUSED
        assert revisions.current.head.number == 1


async def test_who_is_away_takes_no_part(store, played):
    played.away, played.unhealthy = {"nlb-2", "alb-2"}, {"alb-2"}
    async with running(store, played) as revisions:
        outcome = await revisions.put("pools", "v3", {}, by=ANN, reason="")
        assert {part.name for part in outcome.parts} == {"alb-1", "nlb-1"}
        played.away.clear()
        played.unhealthy.clear()
        soon(revisions)
        await come(lambda: set(played.runs.values()) == {outcome.revision.checksum} and len(played.runs) == 4)


async def test_without_any_nlb_nothing_is_put_in_force(store, played):
    played.away = {"nlb-1", "nlb-2"}
    async with running(store, played) as revisions:
        with pytest.raises(PartsRefused) as refused:
            await revisions.put("pools", "v3", {}, by=ANN, reason="")
        assert refused.value.code is RefusalCode.UNAVAILABLE
        found = await revisions.put("pools", "v3", {}, by=ANN, reason="", dry_run=True)
        assert [part.problems[0].message for part in found.parts] == [
            "nobody answers at nlb-1",
            "nobody answers at nlb-2",
        ]


async def test_what_was_interrupted_waits_for_an_nlb_and_keeps_others_out(store, played):
    async with running(store, played):
        pass
    data = encode(decode(b"pools: [{name: v9}]"))
    await store.begin(Draft(1, ANN, "interrupted", checksum(data), Summary(), data))
    played.away = {"nlb-1", "nlb-2"}
    async with running(store, played) as revisions:
        with pytest.raises(Busy, match="no NLB can be asked"):
            await revisions.put("pools", "v3", {}, by=ANN, reason="")
        played.away.clear()
        soon(revisions)
        await come(lambda: revisions.current.head.number == 2)
        assert {played.runs[name] for name in ALL} == {checksum(data)}


async def test_what_was_interrupted_is_taken_back_where_somebody_refuses(store, played):
    async with running(store, played) as revisions:
        old = revisions.current.head.checksum
    data = encode(decode(b"pools: [{name: v9}]"))
    await store.begin(Draft(1, ANN, "interrupted", checksum(data), Summary(), data))
    played.runs = {"alb-1": checksum(data), "alb-2": old, "nlb-1": old, "nlb-2": old}
    played.refusing = {"alb-2"}
    async with running(store, played) as revisions:
        await come(lambda: played.runs["alb-1"] == old)
        await come(lambda: not revisions._applier.in_doubt)
        assert await store.pending() is None
        assert revisions.current.head.number == 1
        assert set(played.runs.values()) == {old}
