"""Talk: what a DBLB asks its workers, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from marchproxy.engines.workers.line import Line
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import PoolGauge
from marchproxy.modules.dblb.totals import Entry
from marchproxy.modules.reception.following import Follow

#: Raised when the messages change, so that a DBLB never talks to a worker that understands something else.
VERSION = 2


@dataclass(frozen=True, slots=True)
class Apply(Follow):
    """Answer: Done or Refused.

    `paused`: the routes on whose servers nothing new begins, and for how many seconds, if nothing else is told before;
    0: until something is. What was paused and is not among them goes on.
    """

    paused: Mapping[RouteId, float] = field(default_factory=dict)
    kind: Literal["apply"] = "apply"


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers as they were last seen, or, with `ask`, asked now. Answer: Seen."""

    ask: bool = False
    kind: Literal["servers"] = "servers"


@dataclass(frozen=True, slots=True)
class WhichPlan:
    """Answer: Plan."""

    kind: Literal["which plan"] = "which plan"


@dataclass(frozen=True, slots=True)
class Busy:
    """Answer: Number, of a route's server connections that are in use."""

    route: RouteId
    kind: Literal["busy"] = "busy"


@dataclass(frozen=True, slots=True)
class Drain:
    """Listen no more, and have clients go when that interrupts nothing. Answer: Done."""

    kind: Literal["drain"] = "drain"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the worker was told last; None: nothing yet."""

    told: Apply | None = None
    kind: Literal["plan"] = "plan"


@dataclass(frozen=True, slots=True)
class Number:
    """So many."""

    value: int
    kind: Literal["number"] = "number"


@dataclass(frozen=True, slots=True)
class Seen:
    """The servers."""

    servers: tuple[ServerReport, ...] = ()
    kind: Literal["seen"] = "seen"


@dataclass(frozen=True, slots=True)
class Counts:
    """What a worker counted since its start, and what it has now; see `crew.Counted`."""

    entries: tuple[Entry, ...] = ()
    gauges: tuple[PoolGauge, ...] = ()
    clients: int = 0
    accepted: int = 0
    cpu_percent: float = 0.0
    memory_mb: float = 0.0
    ports: tuple[HostPort, ...] = ()
    kind: Literal["counts"] = "counts"


Question: TypeAlias = Apply | WhichPlan | Count | Servers | Busy | Drain
Answer: TypeAlias = Done | Refused | Plan | Number | Seen | Counts

#: The conversation.
LINE: Line[Question, Answer] = Line(
    TypeAdapter(Annotated[Question, Field(discriminator="kind")]),
    TypeAdapter(Annotated[Answer, Field(discriminator="kind")]),
)
