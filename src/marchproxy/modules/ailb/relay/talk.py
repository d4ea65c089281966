"""Talk: what an AILB asks a relay, and what that answers: mostly what its decider is asked, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from marchproxy.engines.workers.line import Line
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.modules.ailb.talk import Apply, Move, Plan, WhichPlan

#: Raised when the messages change, so that an AILB never talks to a relay that understands something else.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Counts:
    """`endings`: attempts since its start, by how they ended; `untold`: reports that the decider has not written down; `lost`:
    those that it never will. `links`: connections to engines."""

    endings: Mapping[str, int] = field(default_factory=dict)
    under_way: int = 0
    links: int = 0
    untold: int = 0
    lost: int = 0
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
