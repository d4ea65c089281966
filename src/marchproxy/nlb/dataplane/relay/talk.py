"""Talk: what an NLB asks its relay worker, and what that answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from marchproxy.engines.workers.line import Line
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.limit import LimitId
from marchproxy.model.module import InstanceId
from marchproxy.nlb.dataplane.plane import ConnectionCounts, Forwarding, LimitCounts, TrafficCounts

#: Raised when the messages change, so that an NLB never talks to a worker that understands something else.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Apply:
    """Carry this; connections of what is gone have `drain_seconds` to end. Answer: Done or Refused."""

    forwarding: Forwarding
    drain_seconds: float
    kind: Literal["apply"] = "apply"


@dataclass(frozen=True, slots=True)
class Shed:
    """Close up to `count` connections of an instance (see `Carrier.shed`). Answer: Closed."""

    instance_id: InstanceId
    count: int
    listener: str = ""
    kind: Literal["shed"] = "shed"


@dataclass(frozen=True, slots=True)
class Drain:
    """Listen no more; connections have so many seconds to end. Answer: Done."""

    seconds: float
    kind: Literal["drain"] = "drain"


@dataclass(frozen=True, slots=True)
class Closed:
    """So many connections were closed."""

    count: int
    kind: Literal["closed"] = "closed"


@dataclass(frozen=True, slots=True)
class Counted:
    """What the worker carries: `TrafficCounts` as lists, its ports, and all connections that are open."""

    listeners: Mapping[str, ConnectionCounts] = field(default_factory=dict)
    endpoints: tuple[tuple[str, InstanceId, ConnectionCounts], ...] = ()
    limits: Mapping[LimitId, LimitCounts] = field(default_factory=dict)
    closes: tuple[tuple[str, str, int], ...] = ()
    addresses: tuple[HostPort, ...] = ()
    open: int = 0
    kind: Literal["counted"] = "counted"

    def traffic(self) -> TrafficCounts:
        """As the data plane tells it."""
        return TrafficCounts(
            self.listeners,
            {(listener, instance): counts for listener, instance, counts in self.endpoints},
            self.limits,
            {(listener, outcome): count for listener, outcome, count in self.closes},
        )


Question: TypeAlias = Apply | Count | Shed | Drain
Answer: TypeAlias = Done | Refused | Closed | Counted

#: The conversation.
LINE: Line[Question, Answer] = Line(
    TypeAdapter(Annotated[Question, Field(discriminator="kind")]),
    TypeAdapter(Annotated[Answer, Field(discriminator="kind")]),
)


def report(traffic: TrafficCounts, addresses: frozenset[HostPort], connections: int) -> Counted:
    """Counts as a message."""
    return Counted(
        traffic.listeners,
        tuple((listener, instance, counts) for (listener, instance), counts in traffic.endpoints.items()),
        traffic.limits,
        tuple((listener, outcome, count) for (listener, outcome), count in traffic.closes.items()),
        tuple(sorted(addresses, key=str)),
        connections,
    )
