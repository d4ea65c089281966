"""Servers: those of one pool of the plan, in this worker."""

import asyncio
from collections.abc import Iterator, Mapping

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.mongodb.hello import Facts, Role
from marchproxy.modules.dblb.mongodb.login import Login
from marchproxy.modules.dblb.mongodb.member import Member
from marchproxy.modules.dblb.mongodb.replicas import Replicas, lag_of
from marchproxy.modules.dblb.mongodb.settings import PoolLimits, limits_of
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.serverside import addresses_of
from marchproxy.modules.dblb.service import CHECK_SECONDS, ServerReport, Surroundings
from marchproxy.modules.dblb.tally import PoolGauge

_ROLES = {Role.PRIMARY: "primary", Role.SECONDARY: "replica", Role.OTHER: "unknown"}


class Servers:
    """A Home of its members. `proven`: the passwords of users that the routes know, where the pool has none for them."""

    def __init__(self, upstream: Upstream, around: Surroundings, proven: Mapping[str, str]) -> None:
        self.upstream = upstream
        self.replicas = Replicas((), 0.0)
        self._around = around
        self._proven = proven
        self._members: dict[HostPort, tuple[Member, asyncio.Task[None]]] = {}
        self._leaving: list[Member] = []
        self._limits = limits_of(upstream, around)
        self._staff()

    # a Home

    def limits(self) -> PoolLimits:
        """See Home."""
        return self._limits

    def tls(self) -> UpstreamTls | None:
        """See Home."""
        return self.upstream.pool.tls

    def login(self, user: str) -> Login:
        """See Home."""
        known, proven = self.upstream.passwords.get(user), self._proven.get(user)
        return Login(user, known) if known is not None else Login(user, proven, offered=proven is not None)

    def monitor(self) -> Login:
        """See Home."""
        user = self.upstream.options.monitor
        return Login(user, self.upstream.passwords.get(user) if user else None)

    # what the service asks

    def become(self, upstream: Upstream) -> None:
        """What the pool is from now on. What is under way on links of before is finished there."""
        if upstream == self.upstream:
            return
        self.upstream, self._limits = upstream, limits_of(upstream, self._around)
        for member, _ in self._members.values():
            member.renew()
        self._staff()

    def member(self, name: str) -> Member | None:
        """The server of that name; None: it is not one of them any more."""
        return next((member for member in self.replicas.members if member.name == name), None)

    def facts(self) -> list[Facts]:
        """What those say that answer."""
        return [member.facts for member in self.replicas.members if member.facts is not None]

    def gauges(self) -> Iterator[PoolGauge]:
        """The connections to the servers."""
        for member in self.replicas.members:
            for user, pool in member.pools.items():
                name, role = self.upstream.name, _role(member.facts)
                counts = pool.links, pool.idle, pool.waiting, self._limits.size
                yield PoolGauge(name, member.name, role, "", user, *counts)

    def reports(self) -> Iterator[ServerReport]:
        """The servers as they were last seen."""
        for member in self.replicas.members:
            yield self._report(member, member.facts, member.round_trip, member.fault)

    async def check(self) -> list[ServerReport]:
        """The servers, asked now."""
        async with asyncio.TaskGroup() as group:
            tasks = {one: group.create_task(one.ask(CHECK_SECONDS)) for one in self.replicas.members}
        return [self._report(member, *task.result()) for member, task in tasks.items()]

    def sweep(self) -> None:
        """Close what was not used for long."""
        for member in (*self.replicas.members, *self._leaving):
            for pool in member.pools.values():
                pool.sweep()
        self._leaving = [one for one in self._leaving if any(pool.links for pool in one.pools.values())]

    def retire(self) -> None:
        """The pool is not in the plan any more."""
        for address in list(self._members):
            self._dismiss(address)
        self.replicas.members = ()
        self.replicas.changed()

    def close(self) -> None:
        """End everything."""
        for member, task in self._members.values():
            task.cancel()
            for pool in member.pools.values():
                pool.close()

    def _staff(self) -> None:
        """Have a member for each address, and no others."""
        addresses = addresses_of(self.upstream.pool)
        for address in set(self._members) - set(addresses):
            self._dismiss(address)
        for address in addresses:
            if address not in self._members:
                member = Member(address, self, self._around.clock)
                watching = self._around.group.create_task(
                    member.watch(self._changed), name=f"watch {member.name}"
                )
                self._members[address] = (member, watching)
        self.replicas.members = tuple(self._members[one][0] for one in addresses)
        self.replicas.lag = self._limits.lag
        self.replicas.changed()

    def _dismiss(self, address: HostPort) -> None:
        member, task = self._members.pop(address)
        task.cancel()
        member.facts = None
        member.renew()
        self._leaving.append(member)

    def _changed(self) -> None:
        self.replicas.changed()

    def _report(self, member: Member, facts: Facts | None, latency: float, fault: str) -> ServerReport:
        lag = lag_of(self.replicas.members, member) if _role(facts) == "replica" else None
        took = latency if facts is not None else None
        return ServerReport(self.upstream.name, member.name, _role(facts), took, lag, fault)


def _role(facts: Facts | None) -> str:
    return "unknown" if facts is None else _ROLES[facts.role]
