"""Canary: what each version did since a rollout's window was opened, from heartbeats and the data plane. Pure.

Requests are what modules report. Where they report none (plain TCP), connections stand for them. An attempt to connect
that failed counts either way: nobody else saw it, because it was tried again elsewhere.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from marchproxy.model.judging import Sample
from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, Version
from marchproxy.nlb.dataplane.plane import ConnectionCounts
from marchproxy.nlb.state.member import Member, Standing, Stats

Connections = Mapping[tuple[str, InstanceId], ConnectionCounts]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One version's part."""

    requests: int = 0
    failures: int = 0
    connections: int = 0
    unconnected: int = 0
    p99_latency_ms: float = 0.0

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(
            self.requests + other.requests,
            self.failures + other.failures,
            self.connections + other.connections,
            self.unconnected + other.unconnected,
            max(self.p99_latency_ms, other.p99_latency_ms),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """The evidence of a window, and the counters' last readings, from which the next ones count on.

    A module's report may be of a moment before the window: it counts from its first report after `since`, monotonic.
    """

    since: float = 0.0
    versions: Mapping[Version, Evidence] = field(default_factory=dict)
    stats: Mapping[InstanceId, tuple[str, Stats]] = field(default_factory=dict)
    connections: Connections = field(default_factory=dict)

    @property
    def by_requests(self) -> bool:
        """Whether modules reported requests."""
        return any(evidence.requests for evidence in self.versions.values())

    def samples(self, canary: Version, *, by_requests: bool) -> tuple[Sample, Sample]:
        """What the canary did, and what the others did together."""
        own = self.versions.get(canary, Evidence())
        others = sum((e for version, e in self.versions.items() if version != canary), start=Evidence())
        return _sample(own, by_requests=by_requests), _sample(others, by_requests=by_requests)


def open_tally(connections: Connections, since: float) -> Tally:
    """Nothing yet; what was counted so far belongs to the time before."""
    return Tally(since, connections=dict(connections))


def add(
    tally: Tally, members: Collection[Member], connections: Connections, listeners: Collection[Listener]
) -> Tally:
    """The tally with what the counters went up by since their last readings, on these listeners."""
    versions = dict(tally.versions)
    types = {listener.module_type for listener in listeners}
    names = {listener.name for listener in listeners}
    of_version = {member.instance.instance_id: member.instance.version for member in members}

    def count(version: Version, evidence: Evidence) -> None:
        versions[version] = versions.get(version, Evidence()) + evidence

    for member in members:
        if member.instance.module_type in types:
            count(member.instance.version, _reported(member, tally))
    for key, now in connections.items():
        listener, instance_id = key
        if listener in names and instance_id in of_version:
            count(of_version[instance_id], _connected(now, tally.connections.get(key, ConnectionCounts())))
    stats = {**tally.stats, **_stats(members, tally.since)}
    return Tally(tally.since, versions, stats, {**tally.connections, **connections})


def all_heard(members: Iterable[Member], listeners: Iterable[Listener], since: float) -> bool:
    """Whether every instance that is heard at all has reported since a monotonic time: versions are compared as of then."""
    types = {listener.module_type for listener in listeners}
    return all(
        member.last_heard.monotonic >= since
        for member in members
        if member.instance.module_type in types and member.standing in {Standing.ACTIVE, Standing.PROVISIONAL}
    )


def _stats(members: Iterable[Member], since: float) -> dict[InstanceId, tuple[str, Stats]]:
    return {
        member.instance.instance_id: (member.registration_id, member.stats)
        for member in members
        if member.last_heard.wall > member.registered_at and member.last_heard.monotonic >= since
    }


def _reported(member: Member, tally: Tally) -> Evidence:
    registration, before = tally.stats.get(member.instance.instance_id, ("", Stats()))
    if registration != member.registration_id or member.last_heard.wall <= member.registered_at:
        return Evidence()
    now = member.stats
    requests = _since(now.total_requests, before.total_requests)
    failures = _since(now.failed_requests, before.failed_requests)
    return Evidence(requests, failures, p99_latency_ms=now.p99_latency_ms if requests else 0.0)


def _connected(now: ConnectionCounts, before: ConnectionCounts) -> Evidence:
    return Evidence(
        connections=_since(now.total, before.total), unconnected=_since(now.failed, before.failed)
    )


def _sample(evidence: Evidence, *, by_requests: bool) -> Sample:
    reached = evidence.requests if by_requests else evidence.connections
    failures = (evidence.failures if by_requests else 0) + evidence.unconnected
    return Sample(reached + evidence.unconnected, failures, evidence.p99_latency_ms)


def _since(now: int, before: int) -> int:
    """A counter that went back was started anew, and counts from 0."""
    return now - before if now >= before else now
