"""Findings: what one NLB or one module answered, as values. Pure: messages in, values out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from marchproxy.contract.convert import MODULE_TYPES
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.manager.watching.counters import Counted, Served, growth
from marchproxy.manager.watching.pools_seen import HEALTH_OF, PoolsSeen
from marchproxy.manager.watching.view import DecisionView, Rates, Standing
from marchproxy.model.module import HealthStatus, ModuleType

#: What is asked of an NLB's metrics.
TRAFFIC = (
    "connections_active",
    "connections_total",
    "connections_failed_total",
    "connections_denied_total",
    "bytes_received_total",
    "bytes_sent_total",
    "instance_connections_active",
    "limit_allowed_total",
    "limit_denied_total",
)

#: A metric's name, and the values of its labels.
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """An NLB's metrics at one look: values as they are, and of counters also what they grew by per second."""

    at: float = 0.0
    values: Mapping[Key, float] = field(default_factory=dict)
    rates: Mapping[Key, float] = field(default_factory=dict)

    def of(self, name: str, *labels: str) -> float:
        """A value as it is."""
        return self.values.get((name, *labels), 0.0)

    def rate(self, name: str, *labels: str) -> float:
        """A counter's growth per second."""
        return self.rates.get((name, *labels), 0.0)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A rollout at one part."""

    target: str
    version: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class NlbFinding:
    """What an NLB told last; `failure` why it told nothing the last time. `at`: when it last told anything."""

    address: str
    status: nlb_pb2.GetNLBStatusResponse | None = None
    traffic: Traffic = Traffic()
    promotions: tuple[Promotion, ...] = ()
    at: datetime | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class PartFinding:
    """What an instance told last; `failure` as of an NLB."""

    counted: Counted | None = None
    served: Served = Served()
    connections: int = 0
    cpu: float = 0.0
    memory: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)
    pools: PoolsSeen = PoolsSeen()
    promotions: tuple[Promotion, ...] = ()
    at: datetime | None = None
    failure: str = ""


def read_traffic(before: Traffic, metrics: Iterable[types_pb2.MetricDataPoint], at: float) -> Traffic:
    """The metrics of an NLB `at` seconds of any clock that does not go back."""
    values: dict[Key, float] = {}
    rates: dict[Key, float] = {}
    elapsed = at - before.at if before.values else 0.0
    for point in metrics:
        labels = point.labels
        key = (point.name, *(labels[name] for name in sorted(labels)))
        values[key] = point.value
        if elapsed > 0 and point.name.endswith("_total"):
            rates[key] = growth(before.values.get(key, 0.0), point.value) / elapsed
    return Traffic(at, values, rates)


def read_promotions(answer: module_pb2.GetActiveVersionResponse) -> tuple[Promotion, ...]:
    """The rollouts that a part tells of."""
    return tuple(
        Promotion(
            one.route_id,
            one.version,
            Standing(
                one.phase,
                one.percent,
                one.reason,
                moment(one.updated_at) if one.HasField("updated_at") else None,
                tuple(_decision(decision) for decision in one.decisions),
            ),
        )
        for one in answer.rollouts
    )


def health_of(value: types_pb2.HealthStatus.ValueType) -> HealthStatus | None:
    """None where it is not told, or one that only a newer part knows."""
    return HEALTH_OF.get(value)


def kind_of(value: types_pb2.ModuleType.ValueType) -> ModuleType | None:
    """As `health_of`."""
    return _KINDS.get(value)


def moment(pb: Timestamp) -> datetime:
    """A timestamp as a datetime; one that is out of range is the beginning of time."""
    try:
        return pb.ToDatetime(UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _decision(pb: types_pb2.RolloutDecision) -> DecisionView:
    return DecisionView(
        at=moment(pb.at),
        verdict=pb.verdict,
        reason=pb.reason,
        percent_before=pb.percent_before,
        percent_after=pb.percent_after,
        canary=_sample(pb.canary),
        baseline=_sample(pb.baseline),
        p_value=pb.p_value,
    )


def _sample(pb: types_pb2.RolloutSample) -> Rates:
    return Rates(float(pb.requests), float(pb.failures), p99_ms=pb.p99_latency_ms)


_KINDS: Mapping[int, ModuleType] = {MODULE_TYPES.to_pb(member): member for member in ModuleType}
