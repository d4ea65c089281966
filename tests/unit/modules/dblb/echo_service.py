"""A database service that tells each client who it is, then answers what it is sent; and what a test says to workers."""

import asyncio

from marchproxy.model.database import DatabaseRoute
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import PoolGauge, TallyKey


class Session(asyncio.Protocol):
    def __init__(self, service, arrival):
        self.service, self.arrival = service, arrival

    def connection_made(self, transport):
        self.transport = transport
        self.service.sessions.add(self)
        one = self.arrival
        words = [
            str(one.client),
            str(one.port),
            one.certificate_user or "-",
            "tls" if one.secure else "plain",
        ]
        transport.write(f"{' '.join(words)}\n".encode())
        self.service.tally.clients += 1

    def data_received(self, data):
        self.service.tally.queries += 1
        self.transport.write(data)

    def connection_lost(self, exc):
        self.service.tally.clients -= 1
        self.service.sessions.discard(self)


class EchoService:
    def __init__(self, around):
        self.around = around
        self.sessions = set()
        self.plan = None
        self.paused = set()
        self.heard = []
        self.tally = around.tallies.of(TallyKey("redis", "r", "p", "0", "me"))

    def apply(self, plan):
        self.plan = plan

    def accept(self, arrival):
        return Session(self, arrival)

    def sweep(self):
        pass

    def clients(self):
        return len(self.sessions)

    def gauges(self):
        return [PoolGauge("p", "s:1", "primary", "0", "me", 2, 1, 0, self.around.share(5))]

    def servers(self):
        return [ServerReport("p", "s:1", "primary")]

    async def check(self):
        return [ServerReport("p", "s:1", "unknown", fault="is down")]

    async def told(self, message):
        self.heard.append(message)

    def pause(self, route):
        self.paused.add(route)

    def busy(self, route):
        return 3

    def resume(self, route):
        self.paused.discard(route)

    def drain(self):
        for session in self.sessions:
            session.transport.close()

    def close(self):
        for session in set(self.sessions):
            session.transport.abort()


def state():
    pool = BackendPool(PoolName("p"), protocol=Protocol.REDIS, endpoints=(Endpoint("127.0.0.1:1"),))
    route = Route(
        RouteId("r"),
        protocol=Protocol.REDIS,
        backends=(BackendRef(PoolName("p"), 100),),
        database=DatabaseRoute(),
    )
    return DesiredState(routes=(route,), pools=(pool,))
