"""Catalogue: when a database is read, and what is known while it cannot be."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.dblb.postgres.inquiry import Inquiry, Row
from marchproxy.modules.dblb.postgres.routing.catalogue import Catalogue
from marchproxy.modules.dblb.sql import Volatility


class Session(Inquiry):
    def __init__(self, world: "World") -> None:
        super().__init__()
        self.world = world

    async def ask(self, query: str) -> list[Row]:
        if "pg_proc" in query:
            self.world.reads += 1
            return [("pg_catalog", name, number) for name, number in self.world.functions.items()]
        return [("public", "counter")]

    def end(self) -> None:
        self.world.ended += 1


class World:
    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.clock = VirtualClock()
        self.functions = {"lower": "0", "random": "2"}
        self.reads = self.ended = 0
        self.reachable = True
        self.catalogue = Catalogue("app", self.connect, group, self.clock)

    async def connect(self) -> Inquiry:
        if not self.reachable:
            raise ConnectionRefusedError("refused")
        return Session(self)

    async def after(self, seconds: float, function: str = "lower") -> Volatility | None:
        """What is known of a function after some time, in which it may be read again."""
        self.clock.advance(seconds)
        self.catalogue.volatility(function)
        for _ in range(10):
            await asyncio.sleep(0)
        return self.catalogue.volatility(function)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        yield World(group)


async def test_nothing_is_known_before_it_was_read(world):
    assert world.catalogue.volatility("lower") is None
    assert world.catalogue.is_primarys({"t"}) is None
    assert await world.after(0.0) is Volatility.IMMUTABLE
    assert await world.after(0.0, "random") is Volatility.VOLATILE
    assert world.catalogue.is_primarys({"t"}) is False
    assert world.catalogue.is_primarys({"t", "counter"}) is True
    assert (world.reads, world.ended) == (1, 1)


async def test_it_is_read_again_every_minute_in_which_it_is_asked_for(world):
    await world.after(0.0)
    assert [await world.after(seconds) for seconds in (1.0, 50.0)] == [Volatility.IMMUTABLE] * 2
    assert world.reads == 1
    world.functions["lower"] = "2"
    assert await world.after(10.0) is Volatility.VOLATILE
    assert world.reads == 2


async def test_a_name_that_is_not_known_has_it_read_again_but_not_every_time(world):
    await world.after(0.0)
    for _ in range(10):
        assert await world.after(0.1, "new") is None
    assert world.reads == 1
    world.functions["new"] = "1"
    assert await world.after(5.0, "new") is Volatility.STABLE
    assert world.reads == 2


async def test_what_cannot_be_read_for_long_is_not_known(world):
    await world.after(0.0)
    world.reachable = False
    assert await world.after(299.0) is Volatility.IMMUTABLE
    assert await world.after(2.0) is None
    world.reachable = True
    assert await world.after(5.0) is Volatility.IMMUTABLE
