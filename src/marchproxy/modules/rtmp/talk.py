"""Talk: what the RTMP module asks its workers, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from marchproxy.engines.workers.line import Line
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.live_stream import StreamReport
from marchproxy.modules.reception.following import Follow
from marchproxy.modules.rtmp.service import OriginReport
from marchproxy.modules.rtmp.tally import TallyKey

#: Raised when the messages change, so that nobody ever talks to a worker that understands something else.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Apply(Follow):
    """Answer: Done or Refused."""

    kind: Literal["apply"] = "apply"


@dataclass(frozen=True, slots=True)
class WhichPlan:
    """Answer: Plan."""

    kind: Literal["which plan"] = "which plan"


@dataclass(frozen=True, slots=True)
class Look:
    """The streams, and the origins as they were last seen, or, with `ask`, asked now. Answer: Seen."""

    ask: bool = False
    kind: Literal["look"] = "look"


@dataclass(frozen=True, slots=True)
class Drain:
    """Listen no more, and have clients go. Answer: Done."""

    kind: Literal["drain"] = "drain"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the worker was told last; None: nothing yet."""

    told: Apply | None = None
    kind: Literal["plan"] = "plan"


@dataclass(frozen=True, slots=True)
class Seen:
    """The streams and the origins."""

    streams: tuple[StreamReport, ...] = ()
    origins: tuple[OriginReport, ...] = ()
    kind: Literal["seen"] = "seen"


@dataclass(frozen=True, slots=True)
class Entry:
    """A tally as it travels: its counts by their names, and its counters by name and reason."""

    key: TallyKey
    numbers: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a worker counted since its start, and what it has now. CPU in percent of a core, memory in MB."""

    entries: tuple[Entry, ...] = ()
    clients: int = 0
    accepted: int = 0
    cpu_percent: float = 0.0
    memory_mb: float = 0.0
    ports: tuple[HostPort, ...] = ()
    kind: Literal["counts"] = "counts"


Question: TypeAlias = Apply | WhichPlan | Count | Look | Drain
Answer: TypeAlias = Done | Refused | Plan | Seen | Counts

#: The conversation.
LINE: Line[Question, Answer] = Line(
    TypeAdapter(Annotated[Question, Field(discriminator="kind")]),
    TypeAdapter(Annotated[Answer, Field(discriminator="kind")]),
)
