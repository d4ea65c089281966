"""Talk: what a DBLB asks its workers, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Base64Bytes, Field, TypeAdapter

from marchproxy.engines.workers.line import Line
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.plan import Files
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import PoolGauge
from marchproxy.modules.dblb.totals import Entry
from marchproxy.modules.reception.serving import Serving

#: Raised when the messages change, so that a DBLB never talks to a worker that understands something else.
VERSION = 2


@dataclass(frozen=True, slots=True)
class Contents:
    """Files by path: what they hold, or why they could not be read."""

    held: Mapping[str, Base64Bytes] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> Files:
        """As a plan takes them."""
        return {**self.held, **self.faults}


def contents_of(files: Files) -> Contents:
    """Files as they travel."""
    held = {path: content for path, content in files.items() if isinstance(content, bytes)}
    return Contents(held, {path: why for path, why in files.items() if isinstance(why, str)})


@dataclass(frozen=True, slots=True)
class Apply:
    """Serve by this document; limits are divided among `instances`. Answer: Done or Refused.

    `paused`: the routes on whose servers nothing new begins, and for how many seconds, if nothing else is told before;
    0: until something is. What was paused and is not among them goes on.
    """

    document: str
    contents: Contents
    serving: Serving
    instances: int = 1
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
