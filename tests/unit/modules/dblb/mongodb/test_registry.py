"""Cursors that another worker has: two registries that tell each other."""

import asyncio

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.dblb.gate import OpenGate
from marchproxy.modules.dblb.mongodb.pins import Cursor, worker_of
from marchproxy.modules.dblb.mongodb.registry import Registry
from marchproxy.modules.dblb.mongodb.settings import MongoLimits
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tallies

CURSOR = Cursor("10.0.0.1:27017", "anna", 7, "test", "things", "p")


class Workers:
    """Two of them; `killed` are the cursors that servers were told to close."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.killed: list[Cursor] = []
        self.silent = False
        self.registries = [self._registry(group, number) for number in range(2)]

    def _registry(self, group: asyncio.TaskGroup, number: int) -> Registry:
        around = Surroundings(
            group, VirtualClock(), Tallies(), OpenGate(), worker=number, workers=2, elsewhere=self._tell
        )
        return Registry(MongoLimits(), around, self.killed.append)

    async def _tell(self, worker: int, message: bytes) -> None:
        assert len(message) <= 1024
        if not self.silent:
            self.registries[worker].told(message)


async def found(registry: Registry, number: int, user: str = "anna") -> Cursor | None:
    told: asyncio.Future[Cursor | None] = asyncio.get_running_loop().create_future()
    registry.ask(number, user, told.set_result)
    return await told


async def test_a_worker_asks_the_one_that_has_the_cursor():
    async with asyncio.TaskGroup() as group:
        workers = Workers(group)
        one, two = workers.registries
        number = two.opened(CURSOR, holder=5)
        assert worker_of(number) == 1
        assert one.used(number, "anna", 3) is None
        assert one.is_elsewhere(number)
        assert await found(one, number) == CURSOR
        assert await found(one, number, "bert") is None
        assert not list(two.cursors.left(5))  # it outlives the connection that opened it
        assert one.kill(number, "anna")
        await asyncio.sleep(0)
        assert workers.killed == [CURSOR]
        assert await found(one, number) is None


async def test_a_cursor_that_ended_elsewhere_is_forgotten():
    async with asyncio.TaskGroup() as group:
        workers = Workers(group)
        one, two = workers.registries
        number = two.opened(CURSOR, holder=5)
        assert one.drop(number, "anna") is None
        await asyncio.sleep(0)
        assert len(two.cursors) == 0
        assert workers.killed == []


async def test_nonsense_and_long_names_are_no_harm():
    async with asyncio.TaskGroup() as group:
        workers = Workers(group)
        one, two = workers.registries
        for message in (b"", b"[]", b'{"ask":"x"}', b'{"token":1,"cursor":[1]}', b"\xff"):
            one.told(message)
        number = two.opened(Cursor("s", "anna", 7, "d" * 600, "c" * 600, "p"), holder=5)
        assert await found(one, number) is None  # it cannot be told, and nobody waits for ever
