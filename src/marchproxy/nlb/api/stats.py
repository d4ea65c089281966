"""Stats and members as messages."""

from marchproxy.contract.convert.enums import MODULE_TYPES
from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.convert.instance import instance_to_pb
from marchproxy.contract.convert.times import moment_to_pb, read_moment
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.model.module import ModuleType
from marchproxy.model.problem import InvalidValue, Problem
from marchproxy.nlb.service.journal import Entry
from marchproxy.nlb.state.member import Member, Stats

_MOST_CUSTOM = 64  # entries of custom_stats that are kept
_COUNTERS = (
    "total_requests",
    "successful_requests",
    "failed_requests",
    "active_connections",
    "total_connections",
    "bytes_received",
    "bytes_sent",
)
_MEASURES = (
    "avg_latency_ms",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "cpu_usage_percent",
    "memory_usage_mb",
)


def stats_from_pb(pb: types_pb2.ModuleStats) -> Stats:
    """The stats of a heartbeat. Raises InvalidValue for negative numbers and malformed times."""
    faults = Faults()
    since = read_moment(pb.since, "current_stats.since", faults) if pb.HasField("since") else None
    for name in (*_COUNTERS, *_MEASURES):
        value = getattr(pb, name)
        if not value >= 0:  # NaN too
            faults.add(f"current_stats.{name}", f"{value} is not 0 or more")
    if len(pb.custom_stats) > _MOST_CUSTOM:
        faults.add("current_stats.custom_stats", f"more than {_MOST_CUSTOM} entries")
    faults.raise_any()
    numbers = {name: getattr(pb, name) for name in (*_COUNTERS, *_MEASURES)}
    return Stats(**numbers, since=since, custom=dict(pb.custom_stats))


def stats_to_pb(member: Member) -> types_pb2.ModuleStats:
    """A member's stats at its last heartbeat."""
    stats = member.stats
    return types_pb2.ModuleStats(
        instance_id=member.instance.instance_id,
        since=None if stats.since is None else moment_to_pb(stats.since),
        custom_stats=stats.custom,
        **{name: getattr(stats, name) for name in (*_COUNTERS, *_MEASURES)},
    )


def member_to_pb(member: Member) -> types_pb2.ModuleInstance:
    """A member as the NLB sees it; in its metadata, what the NLB has trouble with."""
    pb = instance_to_pb(member.effective)
    for trouble, words in member.troubles.items():
        pb.metadata[f"nlb.trouble.{trouble.value}"] = words
    pb.registration_id = member.registration_id
    pb.last_heartbeat.CopyFrom(moment_to_pb(member.last_heard.wall))
    return pb


def decision_to_pb(kind: ModuleType, entry: Entry) -> nlb_pb2.ScalingDecision:
    """What the autoscaler decided about a type."""
    decision = entry.decision
    return nlb_pb2.ScalingDecision(
        module_type=MODULE_TYPES.to_pb(kind),
        decided_at=moment_to_pb(entry.at),
        way=decision.kind.value,
        current_instances=decision.from_,
        wanted_instances=decision.to,
        reason=decision.reason,
        outcome=entry.outcome,
        manual=entry.manual,
    )


def require(present: bool, path: str) -> None:  # noqa: FBT001 - a condition, not an option
    """Raise InvalidValue when a message that is needed is missing."""
    if not present:
        raise InvalidValue([Problem(path, "is missing")])
