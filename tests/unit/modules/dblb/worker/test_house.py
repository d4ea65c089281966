"""What a worker does with pauses that it is told of, and when nobody tells it that they end."""

import asyncio
from contextlib import contextmanager

from marchproxy.contract.document import encode
from marchproxy.engines.workers.contents import Contents
from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.gate import OpenGate
from marchproxy.modules.dblb.talk import Apply
from marchproxy.modules.dblb.worker.house import House, Numbers
from marchproxy.modules.reception.port import Port
from marchproxy.modules.reception.serving import Serving
from tests.ports import free_port
from tests.unit.modules.dblb.echo_service import EchoService, state

ROUTE, OTHER = RouteId("r"), RouteId("other")


class Rig:
    def __init__(self, group):
        self.clock = VirtualClock()
        self.house = House(
            group, {Protocol.REDIS: EchoService}, OpenGate(), numbers=Numbers(), clock=self.clock
        )
        self.port = Port("redis", Protocol.REDIS, HostPort("127.0.0.1", free_port()))

    @property
    def paused(self):
        return self.house.services[Protocol.REDIS].paused

    def tell(self, **paused):
        document = encode(state()).decode()
        self.house.apply(
            Apply(
                document, Contents(), Serving((self.port,)), paused={RouteId(k): v for k, v in paused.items()}
            )
        )

    def pass_time(self, seconds):
        self.clock.advance(seconds)
        self.house.sweep()


@contextmanager
def rig(group):
    one = Rig(group)
    try:
        yield one
    finally:
        one.house.close()


async def test_a_pause_ends_when_it_is_not_told_any_more():
    async with asyncio.TaskGroup() as group:
        with rig(group) as one:
            one.tell(r=5, other=5)
            assert one.paused == {ROUTE, OTHER}
            one.tell(r=5)
            assert one.paused == {ROUTE}
            one.tell()
            assert one.paused == set()
            assert one.house.told is not None
            assert one.house.told.paused == {}


async def test_a_pause_ends_by_itself_when_nobody_comes():
    async with asyncio.TaskGroup() as group:
        with rig(group) as one:
            one.tell(r=5)
            one.pass_time(4)
            assert one.paused == {ROUTE}
            one.tell(r=5)  # told again, it lasts as long from then on
            one.pass_time(4)
            assert one.paused == {ROUTE}
            one.pass_time(1)
            assert one.paused == set()
            one.tell(r=5)
            assert one.paused == {ROUTE}


async def test_a_pause_that_somebody_must_end_lasts():
    async with asyncio.TaskGroup() as group:
        with rig(group) as one:
            one.tell(r=0)
            one.pass_time(1_000_000)
            assert one.paused == {ROUTE}
            one.tell()
            assert one.paused == set()
