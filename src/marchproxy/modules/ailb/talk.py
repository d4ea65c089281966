"""Talk: what an AILB asks its decider, and what that answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Base64Bytes, Field, TypeAdapter

from marchproxy.engines.workers.line import Line
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.model.module import PoolName
from marchproxy.model.pool import Endpoint
from marchproxy.modules.ailb.choice import Attempts, Standing
from marchproxy.modules.ailb.totals import Entry

#: Raised when the messages change, so that an AILB never talks to a decider that understands something else.
VERSION = 2
#: The endpoints of pools that are found, and not only listed; a pool that is not there has those that it lists.
Places: TypeAlias = Mapping[PoolName, tuple[Endpoint, ...]]


@dataclass(frozen=True, slots=True)
class Apply:
    """Decide by this document; limits are divided among `instances`. Answer: Done or Refused.

    `keys`: what the file with more virtual keys holds; `keys_file`: its path, empty: there is none.
    """

    document: str
    places: Places = field(default_factory=dict)
    keys: Base64Bytes = b""
    keys_file: str = ""
    instances: int = 1
    kind: Literal["apply"] = "apply"


@dataclass(frozen=True, slots=True)
class Move:
    """Endpoints are at these places now; nothing else has changed. Answer: Done.

    `out`: addresses of those that are not to be asked (health checks failed, or they are drained).
    """

    places: Places = field(default_factory=dict)
    out: Mapping[PoolName, tuple[str, ...]] = field(default_factory=dict)
    kind: Literal["move"] = "move"


@dataclass(frozen=True, slots=True)
class WhichPlan:
    """Answer: Plan."""

    kind: Literal["which plan"] = "which plan"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the decider was told last; None: nothing yet."""

    told: Apply | None = None
    kind: Literal["plan"] = "plan"


@dataclass(frozen=True, slots=True)
class Counts:
    """What a decider counted since its start, and what it has now.

    `under_way`: requests that are not reported yet. `granted`, `refused`, `settled`, `lost`, `late`: reservations, as the
    ledger counts them; `garbled`: reports that were none; `unwritten`: lines of the journal that could not be written.
    `shed`: requests that found no room, by what became of them.
    """

    entries: tuple[Entry, ...] = ()
    under_way: int = 0
    waiting: int = 0
    granted: int = 0
    refused: int = 0
    settled: int = 0
    lost: int = 0
    late: int = 0
    garbled: int = 0
    unwritten: int = 0
    shed: Mapping[str, int] = field(default_factory=dict)
    endpoints: tuple[Standing, ...] = ()
    attempts: Mapping[PoolName, Attempts] = field(default_factory=dict)
    cpu_percent: float = 0.0
    memory_mb: float = 0.0
    kind: Literal["counts"] = "counts"


Question: TypeAlias = Apply | Move | WhichPlan | Count
Answer: TypeAlias = Done | Refused | Plan | Counts

#: The conversation.
LINE: Line[Question, Answer] = Line(
    TypeAdapter(Annotated[Question, Field(discriminator="kind")]),
    TypeAdapter(Annotated[Answer, Field(discriminator="kind")]),
)
