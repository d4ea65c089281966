"""Revisions in a real store, without parts: what is kept, refused and put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from marchproxy.contract.document import checksum, decode, encode
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import beside
from marchproxy.manager.revising import Busy, Conflicts, Fleet, PartsRefused, Revisions
from marchproxy.model.changes import redact
from marchproxy.model.module import Version
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.model.revision import Author, Draft, Summary
from marchproxy.model.state import DesiredState
from marchproxy.store import Sealer, Store, StoreSettings, StoreUnusable, open_store

ANN, BEN = Author("ann", "user"), Author("ben", "key")
FILE = decode(
    b"""
pools:
- {name: v1, version: "1", endpoints: ["127.0.0.1:1"]}
- {name: v2, version: "2", endpoints: ["127.0.0.1:2"]}
routes:
- {id: shop, path: /shop, backends: [{pool: v1, weight: 90}, {pool: v2, weight: 10}]}
- {id: tv, protocol: rtmp, rtmp: {push: ["rtmp://cdn.example/live/sk-123"]}}
"""
)


@asynccontextmanager
async def opened(tmp_path) -> AsyncIterator[Store]:
    settings = StoreSettings(f"sqlite:///{tmp_path}/manager.db")
    async with open_store(settings, Sealer.of_file(tmp_path / "secret.key")) as store:
        yield store


@asynccontextmanager
async def running(store: Store, state: DesiredState = FILE) -> AsyncIterator[Revisions]:
    clock = SystemClock()
    revisions = Revisions(store, Fleet((), clock=clock), clock=clock)
    await revisions.start(state, "f.yaml")
    async with beside(revisions.run(), name="revisions"):
        yield revisions


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path) as store:
        yield store


def route(revisions: Revisions, name: str = "shop") -> dict[str, Any]:
    return next(dict(item) for item in revisions.current.document["routes"] if item["id"] == name)


async def test_the_file_is_the_first_revision_and_the_store_goes_on(store):
    async with running(store) as revisions:
        head = revisions.current.head
        assert (head.number, head.parent, head.author.name, head.reason) == (1, None, "file", "from f.yaml")
        assert (head.summary.added, head.summary.changed, head.summary.removed) == (4, 0, 0)
        assert revisions.current.state == FILE
        await revisions.put("routes", "shop", {**route(revisions), "timeout": "5s"}, by=ANN, reason="slow")
    async with running(store) as revisions:
        assert revisions.current.head.number == 2
        assert route(revisions)["timeout"] == 5.0
        assert [head.number for head in await store.revisions()] == [2, 1]


async def test_a_file_that_has_changed_becomes_a_revision(store):
    async with running(store):
        pass
    other = decode(b'{"pools": [{"name": "v3"}]}')
    for _ in range(2):  # the second time it is what was last taken
        async with running(store, other) as revisions, asyncio.timeout(20):
            while revisions.current.head.number == 1:
                await asyncio.sleep(0.01)
            assert revisions.current.head.author.name == "file"
            assert revisions.current.state == other
    assert [head.number for head in await store.revisions()] == [2, 1]


async def test_a_file_that_is_read_again(store):
    async with running(store) as revisions:
        assert await revisions.take_file(FILE, "f.yaml") is None
        other = decode(b'{"pools": [{"name": "v3"}]}')
        outcome = await revisions.take_file(other, "f.yaml")
        assert outcome is not None
        assert (outcome.revision.number, revisions.current.state) == (2, other)
        await revisions.put("pools", "v4", {}, by=ANN, reason="")
        assert await revisions.take_file(other, "f.yaml") is None  # what was done since stays
        assert len(revisions.current.state.pools) == 2


async def test_a_file_that_cannot_be_does_no_harm(store):
    async with running(store):
        pass
    faulty = DesiredState(routes=FILE.routes)  # whose pools are gone
    async with running(store, faulty) as revisions:
        await revisions.put("pools", "v4", {}, by=ANN, reason="waits for the file's turn")
        assert [head.author.name for head in await store.revisions()] == ["ann", "file"]
        assert revisions.current.state.routes == FILE.routes


async def test_edits_of_different_fields_are_put_together(store):
    async with running(store) as revisions:
        before = route(revisions)
        first = await revisions.put(
            "routes", "shop", {**before, "timeout": 5}, by=ANN, reason="a", base_item=before
        )
        second = await revisions.put(
            "routes", "shop", {**before, "priority": 7}, by=BEN, reason="b", base_item=before
        )
        assert (first.merged, second.merged) == (False, True)
        assert (route(revisions)["timeout"], route(revisions)["priority"]) == (5.0, 7)
        assert [change.fields for change in second.changes] == [("priority",)]


async def test_edits_of_the_same_field_conflict_and_nothing_is_lost(store):
    async with running(store) as revisions:
        base = revisions.current.head.number
        before = revisions.current.document
        await revisions.put("routes", "shop", {**route(revisions), "timeout": 5}, by=ANN, reason="a")
        shop, tv = before["routes"]
        wanted = {**before, "routes": [{**shop, "timeout": 6, "priority": 3}, tv]}
        with pytest.raises(
            Conflicts, match=r"revision 2 by ann changed the same: routes/shop\.timeout"
        ) as found:
            await revisions.propose(wanted, base=base, by=BEN, reason="b")
        assert [(c.path, c.ours, c.theirs) for c in found.value.conflicts] == [
            ("routes/shop.timeout", 6.0, 5.0)
        ]
        assert revisions.current.head.number == 2
        outcome = await revisions.propose(wanted, base=None, by=BEN, reason="over it")
        assert route(revisions)["timeout"] == 6.0
        assert not outcome.merged


async def test_many_at_once_all_come_into_force(store):
    async with running(store) as revisions:
        item = {"path": "/x", "backends": ["v1"]}
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(
                    revisions.put(
                        "routes", f"r{number}", {**item, "path": f"/{number}"}, by=ANN, reason="more"
                    )
                )
        assert revisions.current.head.number == 21
        assert len(revisions.current.state.routes) == 22


async def test_too_many_at_once_are_refused(store):
    async with running(store) as revisions, asyncio.TaskGroup() as group:
        work = [
            group.create_task(outcome(revisions.delete("pools", f"p{number}", by=ANN, reason="")))
            for number in range(50)
        ]
    answers = [task.result() for task in work]
    assert {type(answer) for answer in answers} == {Busy, Refused}


async def outcome(work: Any) -> Any:
    try:
        return await work
    except (Refused, Busy) as error:
        return error


async def test_what_is_refused_changes_nothing(store):
    async with running(store) as revisions:
        with pytest.raises(InvalidValue) as found:
            await revisions.put("routes", "shop", {"backends": ["v9"], "methods": ["?"]}, by=ANN, reason="")
        assert {problem.path for problem in found.value.problems} == {"backends[0].pool", "methods[0]"}
        with pytest.raises(InvalidValue) as found:
            await revisions.put("routes", "shop", {"timeout": -1, "speed": 1}, by=ANN, reason="")
        assert {problem.path for problem in found.value.problems} == {"timeout", "speed"}
        with pytest.raises(InvalidValue, match="it is put as"):
            await revisions.put("routes", "shop", {"id": "shopping"}, by=ANN, reason="")
        with pytest.raises(Refused, match="there already") as refused:
            await revisions.put("routes", "shop", route(revisions), by=ANN, reason="", create_only=True)
        assert refused.value.code is RefusalCode.ALREADY_EXISTS
        with pytest.raises(Refused, match="there is no routes/none"):
            await revisions.delete("routes", "none", by=ANN, reason="")
        with pytest.raises(Refused, match="no section"):
            await revisions.delete("rooutes", "none", by=ANN, reason="")
        with pytest.raises(InvalidValue, match='no pool "v1"'):
            await revisions.delete("pools", "v1", by=ANN, reason="")
        assert revisions.current.head.number == 1


async def test_a_dry_run_changes_nothing_and_says_what_would_be(store):
    async with running(store) as revisions:
        found = await revisions.delete("routes", "tv", by=ANN, reason="", dry_run=True)
        assert [(change.kind, change.key) for change in found.changes] == [("removed", "tv")]
        assert (found.applied, found.revision.number) == (False, 2)
        assert revisions.current.head.number == 1


async def test_what_is_the_same_makes_no_revision(store):
    async with running(store) as revisions:
        found = await revisions.put("routes", "shop", route(revisions), by=ANN, reason="")
        assert (found.applied, found.revision.number) == (False, 1)


async def test_an_earlier_revision_is_restored_as_a_new_one(store):
    async with running(store) as revisions:
        await revisions.delete("routes", "shop", by=ANN, reason="")
        found = await revisions.restore(revisions.current.head.parent, by=BEN, reason="back")
        assert (found.revision.number, revisions.current.state) == (3, FILE)
        (change,) = await revisions.diff(2, 3)
        assert (change.kind, change.key) == ("added", "shop")
        with pytest.raises(Refused, match="no revision 9"):
            await revisions.restore(9, by=BEN, reason="")


async def test_a_revision_of_another_version_is_told_from_faults_of_an_edit(store):
    async with running(store) as revisions:
        unsound = b'{"routes":[{"id":"shop","teleport":true}]}'
        begun = await store.begin(
            Draft(revisions.current.head.number, BEN, "", "f" * 64, Summary(0, 1, 0), unsound)
        )
        await store.commit(begun.number)
        words = (
            r"revision 2, which is in force, is not sound for this version: .*teleport.*; start the version"
        )
        with pytest.raises(StoreUnusable, match=words):
            await revisions.put("routes", "shop", route(revisions), by=ANN, reason="")
        with pytest.raises(InvalidValue, match="teleport"):
            await revisions.restore(begun.number, by=ANN, reason="", dry_run=True)
    with pytest.raises(StoreUnusable, match=words):
        async with running(store):
            pass


async def test_secrets_that_were_hidden_come_back(store):
    async with running(store) as revisions:
        shown = redact(revisions.current.document)
        assert "sk-123" not in str(shown)
        edited = {**shown, "routes": [{**shown["routes"][0], "timeout": 3}, shown["routes"][1]]}
        found = await revisions.propose(edited, base=None, by=ANN, reason="")
        assert [change.key for change in found.changes] == ["shop"]
        assert route(revisions, "tv")["rtmp"]["push"] == ["rtmp://cdn.example/live/sk-123"]
        moved = {**shown["routes"][1], "id": "tv2"}
        with pytest.raises(InvalidValue) as refused:
            await revisions.put("routes", "tv2", moved, by=ANN, reason="")
        assert [problem.path for problem in refused.value.problems] == ["rtmp.push[0]"]


async def test_a_rollout_that_has_ended_is_written_down(store):
    async with running(store) as revisions:
        await revisions.note_rollout("shop", Version("2"), by=Author("rollout", "rollout"), reason="done")
        assert [b.get("weight", 100) for b in route(revisions)["backends"]] == [0, 100]


@pytest.mark.parametrize("text", [b"[1]", b"a", b"\xff", b"a: ["])
async def test_what_is_no_document(store, text):
    async with running(store) as revisions:
        with pytest.raises(InvalidValue):
            revisions.read(text)


async def test_validation_finds_everything(store):
    async with running(store) as revisions:
        problems = await revisions.validate({"routes": [{"id": "a", "backends": ["x"], "timeout": "y"}, 1]})
        assert {problem.path for problem in problems} >= {"routes[0].timeout", "routes[1]"}
        assert await revisions.validate(revisions.current.document) == ()


async def test_what_was_begun_before_a_crash_is_in_force_after_it(store):
    async with running(store):
        document = decode(b'{"pools": [{"name": "v3"}]}')
        data = encode(document)
        draft = Draft(1, ANN, "interrupted", checksum(data), Summary(), data)
        await store.begin(draft)
    async with running(store) as revisions, asyncio.timeout(20):
        while revisions.current.head.number == 1:
            await asyncio.sleep(0.01)
        assert revisions.current.state == document
        assert await store.pending() is None


class Examiner:
    """Finds the same wrong with whatever is proposed."""

    name = "xds"

    def __init__(self) -> None:
        self.problems: tuple[Problem, ...] = (Problem("routes[0]", "not here"),)
        self.asked: list[str] = []

    async def examine(self, state: DesiredState, checksum_of: str, /) -> tuple[Problem, ...]:
        assert checksum(encode(state)) == checksum_of
        self.asked.append(checksum_of)
        return self.problems


async def test_who_serves_it_beside_the_parts_has_a_say(store: Store) -> None:
    async with running(store) as revisions:
        examiner, before = Examiner(), revisions.current
        revisions.examiners.append(examiner)
        item = {"id": "more", "path": "/more", "response": {"status": 200}}
        rehearsed = await revisions.put("routes", "more", item, by=ANN, reason="", dry_run=True)
        assert [(part.name, part.problems) for part in rehearsed.parts] == [("xds", examiner.problems)]
        with pytest.raises(PartsRefused) as refused:
            await revisions.put("routes", "more", item, by=ANN, reason="")
        assert [problem.path for problem in refused.value.problems] == ["routes[0]"]
        assert revisions.current is before
        examiner.problems = ()
        outcome = await revisions.put("routes", "more", item, by=ANN, reason="")
        assert outcome.revision.checksum == examiner.asked[-1] == revisions.current.head.checksum
