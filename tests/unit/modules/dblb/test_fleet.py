"""A fleet: which servers come, change and go with the plan, and what all of them are asked."""

from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.modules.dblb.fleet import Fleet, follow
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.service import ServerReport


class Servers:
    def __init__(self, upstream):
        self.done = ["made"]
        self.upstream = upstream

    def become(self, upstream):
        self.done.append("became")
        self.upstream = upstream

    def retire(self):
        self.done.append("retired")

    def reports(self):
        yield ServerReport(self.upstream.name, "10.0.0.1:1", "primary")

    async def check(self):
        return list(self.reports())


def wanted(*names, timeout=1.0):
    return {PoolName(name): Upstream(BackendPool(PoolName(name), connect_timeout=timeout)) for name in names}


def test_servers_come_change_and_go():
    fleet = Fleet()
    follow(fleet, wanted("a", "b"), Servers)
    gone, stays = fleet["a"], fleet["b"]
    follow(fleet, wanted("b", "c", timeout=2.0), Servers)
    assert list(fleet) == ["b", "c"]
    assert fleet["b"] is stays
    assert (gone.done, stays.done, fleet["c"].done) == (["made", "retired"], ["made", "became"], ["made"])
    assert stays.upstream.pool.connect_timeout == 2.0


async def test_all_are_asked():
    fleet = Fleet()
    follow(fleet, wanted("a", "b"), Servers)
    assert [report.pool for report in fleet.reports()] == ["a", "b"]
    assert await fleet.check() == fleet.reports()
