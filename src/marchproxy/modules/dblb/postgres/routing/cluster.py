"""Cluster: the servers of one pool in a worker: watched, and known by who is the primary and which replicas may be read."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import BalancePolicy, HealthCheck, OutlierDetection
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.postgres.routing.members import Member, Members, Rules
from marchproxy.modules.dblb.postgres.routing.sight import Sight
from marchproxy.modules.dblb.postgres.routing.watch import Open, Pace, Watch
from marchproxy.modules.dblb.service import ServerReport

_log = get_logger(__name__)
#: Between two looks at a server that somebody waits for to catch up.
_SOON_SECONDS = 0.002


class Turn(Protocol):
    """Whoever waits until something is seen."""

    def seen(self) -> None:
        """A server was looked at."""
        ...


class Cluster:
    """A pool with one server and nobody to look at it is not watched: that server is the primary."""

    def __init__(self, upstream: Upstream, connect: Open, group: asyncio.TaskGroup, clock: Clock) -> None:
        self._connect = connect
        self._group = group
        self._clock = clock
        self._watches: dict[HostPort, tuple[Watch, asyncio.Task[None]]] = {}
        self._turns: dict[Turn, bool] = {}  # whether they wait for the primary
        self.fit: list[tuple[Member, int]] = []
        """Who may be read, and up to where they have replayed; another list after each look."""
        self._again: asyncio.TimerHandle | None = None
        self.upstream = upstream
        self.members = Members()
        self.changed: Callable[[], None] = _nobody_cares
        """Called when another server is the primary, or others may be read."""
        self.adopt(upstream)

    def adopt(self, upstream: Upstream) -> None:
        """Serve by this from now on; what is known of servers that stay is kept."""
        self.close()
        self.upstream = upstream
        pace, rules = _numbers(upstream)
        each = {}
        for endpoint in upstream.pool.endpoints:
            address = HostPort.parse(endpoint.address)
            known = self.members.each.get(address, Member(address))
            each[address] = replace(known, weight=endpoint.weight)
        primary = self.members.primary if self.members.primary in each else None
        if not self.watched:
            primary = next(iter(each), None)
        self.members = replace(self.members, rules=rules, each=each, primary=primary)
        for address in each if self.watched else ():
            watch = Watch(address, self._connect, self, pace, self._clock)
            task = self._group.create_task(watch.run(), name=f"watch {upstream.name} {address}")
            self._watches[address] = watch, task

    @property
    def watched(self) -> bool:
        """Whether its servers are looked at."""
        return bool(self.upstream.options.monitor)

    @property
    def primary(self) -> HostPort | None:
        """Who takes writes, as far as is known."""
        return self.members.primary

    @property
    def is_even(self) -> bool:
        """Whether whoever is less busy is asked; otherwise anybody."""
        return self.upstream.pool.balance is BalancePolicy.LEAST_CONNECTIONS

    def position(self, since: float) -> int | None:
        """What the primary had written at some time after `since`; None: it was not asked since then."""
        main = self.members.each[self.members.primary].sight if self.members.primary else None
        return main.position if main is not None and main.asked >= since else None

    def dialled(self, address: HostPort, *, well: bool) -> None:
        """A session was opened on a server, or could not be."""
        members = self.members.dialled(address, self._clock.monotonic(), well=well)
        if members is not self.members:
            self.members, self.fit = members, self._readable(members)

    def wait(self, turn: Turn, *, primary: bool) -> None:
        """Call `turn.seen` whenever something was seen, until it leaves; the primary or the others are looked at at once."""
        if self._turns.get(turn) != primary:
            self._turns[turn] = primary
            self._hurry()

    def leave(self, turn: Turn) -> None:
        """It does not wait any more."""
        self._turns.pop(turn, None)

    def close(self) -> None:
        """Look no more."""
        for _, task in self._watches.values():
            task.cancel()
        self._watches = {}
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def saw(self, address: HostPort, sight: Sight) -> None:
        """A server answered."""
        self._become(self.members.saw(address, sight))

    def missed(self, address: HostPort, fault: str, *, answered: bool) -> None:
        """A look failed."""
        if self.members.each[address].fault != fault:
            _log.warning("a server was not seen", pool=self.upstream.name, server=str(address), reason=fault)
        self._become(self.members.missed(address, fault, answered=answered))

    def reports(self) -> list[ServerReport]:
        """The servers as they were seen last; one that is not watched has no role that was seen."""
        return [self._report(member) for member in self.members.each.values()]

    def _report(self, member: Member) -> ServerReport:
        latency = member.sight.latency if member.sight else None
        lag = member.lag if member.address != self.primary else None
        fault = member.fault if self.watched else ""
        return ServerReport(
            self.upstream.name, str(member.address), self.members.role(member), latency, lag, fault
        )

    def _become(self, members: Members) -> None:
        before, self.members = self.members, members
        former, self.fit = self.fit, self._readable(members)
        if rivals := [rival for rival in members.rivals() if rival not in before.rivals()]:
            _log.error(
                "more than one server of a pool takes writes",
                pool=self.upstream.name, primary=str(members.primary), others=[str(one) for one in rivals],
            )  # fmt: skip
        if members.primary != before.primary:
            log = _log.info if before.primary is None and members.primary is not None else _log.warning
            log(
                "the primary of a pool is another",
                pool=self.upstream.name, before=str(before.primary), now=str(members.primary),
            )  # fmt: skip
        if members.primary != before.primary or _who(former) != _who(self.fit):
            self.changed()
        for turn in list(self._turns):
            turn.seen()
        if self._turns and self._again is None:
            self._again = asyncio.get_running_loop().call_later(_SOON_SECONDS, self._hurry)

    def _hurry(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        wanted = set(self._turns.values())
        for address, (watch, _) in self._watches.items():
            if (address == self.primary) in wanted:
                watch.hurry()

    def _readable(self, members: Members) -> list[tuple[Member, int]]:
        fit = members.replicas(self._clock.monotonic())
        return [(member, member.sight.position) for member in fit if member.sight]


def _nobody_cares() -> None:
    pass


def _who(fit: list[tuple[Member, int]]) -> list[HostPort]:
    return [member.address for member, _ in fit]


def _numbers(upstream: Upstream) -> tuple[Pace, Rules]:
    pool, options = upstream.pool, upstream.options
    check = pool.health_check or HealthCheck(timeout=max(1.0, pool.connect_timeout))
    pace = Pace(options.probe_interval, check.timeout)
    oldest = (1 + check.unhealthy_threshold) * (pace.interval + pace.deadline)
    outliers = pool.outliers or OutlierDetection()
    return pace, Rules(check.unhealthy_threshold, options.max_lag, oldest, outliers)
