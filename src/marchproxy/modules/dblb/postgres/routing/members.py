"""Members: the servers of a pool, who of them is the primary, and which replicas may be read. Pure: no clock, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import OutlierDetection
from marchproxy.modules.dblb.postgres.routing.lag import History
from marchproxy.modules.dblb.postgres.routing.sight import Sight


@dataclass(frozen=True, slots=True)
class Rules:
    """When a server counts as gone, and a replica as too old; times in seconds."""

    failures: int = 2
    """Looks in a row that failed."""
    max_lag: float = 10.0
    oldest: float = 10.0
    """For how long what was seen of a replica says something."""
    outliers: OutlierDetection = OutlierDetection()


@dataclass(frozen=True, slots=True)
class Member:
    """One server. `dials`: how many sessions in a row could not be opened on it."""

    address: HostPort
    weight: int = 1
    sight: Sight | None = None
    lag: float | None = None
    fault: str = "it was not looked at yet"
    failures: int = 0
    dials: int = 0
    ejections: int = 0
    ejected_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Members:
    """The servers as they were seen last. `timelines`: the newest that was seen, of each system."""

    rules: Rules = Rules()
    each: Mapping[HostPort, Member] = field(default_factory=dict)
    primary: HostPort | None = None
    history: History = History()
    timelines: Mapping[str, int] = field(default_factory=dict)

    def saw(self, address: HostPort, sight: Sight) -> "Members":
        """A server answered."""
        if address not in self.each:
            return self
        before = self.each[address].sight
        if before is not None and before.system == sight.system and before.timeline > sight.timeline:
            # while it streams nothing only its last restart point is known; it does not go back
            sight = replace(sight, timeline=before.timeline)
        newest = max(sight.timeline, self.timelines.get(sight.system, 0))
        timelines = {**self.timelines, sight.system: newest}
        member = replace(self.each[address], sight=sight, fault="", failures=0)
        return _measured(_judged(replace(_put(self, member), timelines=timelines)), address, sight)

    def missed(self, address: HostPort, fault: str, *, answered: bool = False) -> "Members":
        """A look failed; `answered`: the server is there, and lets the monitor not in."""
        if address not in self.each:
            return self
        member = self.each[address]
        return _judged(_put(self, replace(member, fault=fault, failures=member.failures + (not answered))))

    def dialled(self, address: HostPort, now: float, *, well: bool) -> "Members":
        """A session was opened on a server, or could not be."""
        member = self.each.get(address)
        if member is None or (well and not member.dials):
            return self
        if well:
            return _put(self, replace(member, dials=0, ejections=0))
        outliers = self.rules.outliers
        member = replace(member, dials=member.dials + 1)
        if member.dials < outliers.consecutive_errors or not self._may_eject(address, now):
            return _put(self, member)
        times = member.ejections + 1
        until = now + outliers.ejection_time * times
        return _put(self, replace(member, dials=0, ejections=times, ejected_until=until))

    def replicas(self, now: float, *, position: int = 0) -> list[Member]:
        """Those that may be read, and have replayed up to this position."""
        rules = self.rules
        return [
            member
            for member, sight in self._standbys()
            if member.ejected_until <= now
            and not sight.serializable
            and now - sight.asked <= rules.oldest
            and member.lag is not None
            and member.lag <= rules.max_lag
            and sight.position >= position
        ]

    def alive(self, member: Member) -> bool:
        """Whether it answered lately."""
        return member.sight is not None and member.failures < self.rules.failures

    def role(self, member: Member) -> str:
        """`primary`, `replica` or `unknown`."""
        if member.address == self.primary:
            return "primary"
        return "replica" if self.alive(member) and member.sight and member.sight.standby else "unknown"

    def rivals(self) -> list[HostPort]:
        """Servers that take writes although another one is the primary: what they are told is lost sooner or later."""
        return [
            member.address
            for member in self.each.values()
            if self.alive(member)
            and member.sight
            and member.sight.writable
            and member.address != self.primary
        ]

    def _standbys(self) -> list[tuple[Member, Sight]]:
        """Those on the primary's timeline, or on the newest while there is no primary."""
        main = self.each[self.primary].sight if self.primary else None
        if main is not None:
            timeline = main.system, main.timeline
        else:
            timeline = max(self.timelines.items(), key=lambda item: item[1], default=("", 0))
        return [
            (member, sight)
            for member in self.each.values()
            if (sight := member.sight) is not None
            and self.alive(member)
            and sight.standby
            and (sight.system, sight.timeline) == timeline
        ]

    def _may_eject(self, address: HostPort, now: float) -> bool:
        """Never the last one, never the primary, and never more than the share that the pool allows."""
        others = [m for m, _ in self._standbys() if m.address != address and m.ejected_until <= now]
        out = sum(member.ejected_until > now for member in self.each.values())
        most = max(1, len(self.each) * self.rules.outliers.max_ejected_percent // 100)
        return address != self.primary and bool(others) and out < most


def _put(members: Members, member: Member) -> Members:
    return replace(members, each={**members.each, member.address: member})


def _judged(members: Members) -> Members:
    takers = [
        (sight.timeline, member.address == members.primary, -index, member.address)
        for index, member in enumerate(members.each.values())
        if (sight := member.sight) is not None
        and members.alive(member)
        and sight.writable
        # otherwise somebody was promoted after it, and what it takes will be lost
        and sight.timeline >= members.timelines.get(sight.system, 0)
    ]
    primary = max(takers, key=lambda taker: taker[:3])[3] if takers else None
    return replace(members, primary=primary)


def _measured(members: Members, address: HostPort, sight: Sight) -> Members:
    if address == members.primary:
        return replace(members, history=members.history.seen(sight.timeline, sight.asked, sight.position))
    if not sight.standby:
        return members
    history = members.history if members.history.timeline == sight.timeline else History()
    lag = history.lag(sight.position, sight.asked, sight.behind)
    return _put(members, replace(members.each[address], lag=lag))
