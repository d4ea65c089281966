"""Who gets a link, in which order, and what they are told when there is none."""

import asyncio
from types import SimpleNamespace

from marchproxy.kit.clock import SystemClock
from marchproxy.modules.dblb.mysql.login import LoginRefused
from marchproxy.modules.dblb.mysql.pool import Pool, PoolLimits, Work
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.flow import Flow


class FakeLink(SimpleNamespace):
    """Stands for a session on a server; nothing of it is asked but what a pool asks."""

    def __init__(self):
        super().__init__(flow=Flow(0), inbox=None, born=0.0, used=0.0, holder=None, ended=False)
        self.transport = SimpleNamespace(is_closing=lambda: self.ended, abort=self.end)

    __hash__ = object.__hash__

    def end(self):
        self.ended = True


class Client:
    def __init__(self, order):
        self.order, self.link, self.refusal = order, None, None
        self.done = asyncio.Event()

    def got(self, link):
        self.link = link
        self.order.append(self)
        self.done.set()

    def got_none(self, refusal):
        self.refusal = refusal
        self.done.set()


async def dial(_pool):
    return FakeLink()


async def renew(_link):
    pass


async def refused(*_args):
    raise LoginRefused("1045 no", Refusal(1045, "28000", "no"))


async def absent(*_args):
    raise ConnectionRefusedError("nobody there")


def pool(group, *, work=None, **limits):
    return Pool("p", work or Work(dial, renew), PoolLimits(lifetime=0, **limits), group, SystemClock())


async def test_first_come_first_served():
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        one, order = pool(group, size=1), []
        clients = [Client(order) for _ in range(3)]
        for client in clients:
            assert one.acquire(client) is None
        for client in clients:
            await client.done.wait()
            assert one.links == 1
            one.release(client.link)
        assert order == clients


async def test_a_link_that_cannot_be_made_as_new_is_replaced():
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        one = pool(group, size=1, work=Work(dial, refused))
        first, second = Client([]), Client([])
        one.acquire(first)
        await first.done.wait()
        one.acquire(second)
        one.release(first.link)
        await second.done.wait()
        assert first.link.ended
        assert second.link is not first.link


async def test_what_is_owed_is_not_left_to_the_next():
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        one, client = pool(group), Client([])
        one.acquire(client)
        await client.done.wait()
        client.link.flow.sent(3)
        one.release(client.link)
        assert (client.link.ended, one.links) == (True, 0)


async def test_the_codes_of_those_who_get_none():
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for work, limits, code in (
            (Work(refused, renew), {}, 1045),
            (Work(absent, renew), {"wait": 0.05}, 2003),
            (Work(dial, renew), {"wait": 0.05, "size": 0}, 1040),
        ):
            none, client = pool(group, work=work, **limits), Client([])
            none.acquire(client)
            await client.done.wait()
            assert client.refusal.code == code
            none.close()
