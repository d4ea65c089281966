"""Who gets a link, in which order, and what they are told when there is none."""

import asyncio
from types import SimpleNamespace

from marchproxy.kit.clock import SystemClock
from marchproxy.modules.dblb.allotment import Allotment
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


def pool(group, *, work=None, allotment=None, **limits):
    work = work or Work(dial, renew)
    return Pool("p", work, PoolLimits(lifetime=0, **limits), group, SystemClock(), allotment=allotment)


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


async def test_pools_that_share_take_each_others_idle_links_and_no_more_than_there_may_be():
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        shared = Allotment(1)
        one, other = (pool(group, allotment=shared) for _ in range(2))
        first, second, third = Client([]), Client([]), Client([])
        one.acquire(first)
        await first.done.wait()
        other.acquire(second)  # has to wait until the first is done
        assert (one.taken, other.taken) == (1, 0)
        one.release(first.link)
        await second.done.wait()
        assert (one.taken, other.taken, first.link.ended) == (0, 1, True)
        other.release(second.link)
        one.acquire(third)
        await third.done.wait()
        assert (one.taken, other.taken) == (1, 0)


async def test_a_spare_link_is_opened_for_the_next_who_asks():
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        one = pool(group, size=1)
        assert one.spare() is None
        assert one.spare() is None  # one is on its way
        while not one.idle:
            await asyncio.sleep(0)
        link = one.spare()
        assert link is not None
        assert one.spare() is None
        assert one.taken == 1


async def test_links_beside_one_that_died_are_given_to_nobody():
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        one, clients = pool(group, size=2), [Client([]) for _ in range(2)]
        for client in clients:
            one.acquire(client)
            await client.done.wait()
        one.release(clients[0].link)
        while not one.idle:
            await asyncio.sleep(0)
        one.died(clients[1].link)
        assert (one.links, clients[0].link.ended) == (0, True)


async def test_a_pool_that_retires_closes_what_comes_back():
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        one, clients = pool(group, size=1), [Client([]) for _ in range(2)]
        for client in clients:
            one.acquire(client)
        await clients[0].done.wait()
        assert one.retire() == [clients[1]]
        one.release(clients[0].link)
        assert (one.links, clients[0].link.ended) == (0, True)
