"""What becomes of a proposal: the values that the API and the UI show. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from marchproxy.model.changes import Change, Conflict, Document
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.revision import Author, RevisionHead, RevisionNumber
from marchproxy.model.state import DesiredState


@dataclass(frozen=True, slots=True)
class Current:
    """The revision that is in force. `document` is plain and has its secrets in it; nobody may change it in place."""

    head: RevisionHead
    state: DesiredState
    document: Document
    data: bytes


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """What a part says of a proposal. `kind` is "nlb" or a module's type; `problems` are why it does not take it.

    `would_change`: it runs another document than this.
    """

    name: str
    kind: str
    would_change: bool
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A proposal that is in force, or would be (`applied` is False: a dry run, or nothing in it was new).

    `revision` is the new head; of a dry run what it would be; where nothing was new, the present one. `merged`: the head
    had moved since the proposal's base, and what both changed was put together.
    """

    revision: RevisionHead
    changes: tuple[Change, ...]
    parts: tuple[PartOutcome, ...] = ()
    merged: bool = False
    applied: bool = True


class Phase(Enum):
    """How far an apply has come."""

    VALIDATING = "validating"
    APPLYING = "applying"
    COMMITTING = "committing"
    TAKING_BACK = "taking back"
    WATCHING = "watching"  # it is in force; parts have yet to report it
    DONE = "done"
    REFUSED = "refused"


class PartPhase(Enum):
    """How far one part has come in an apply."""

    WAITING = "waiting"
    VALIDATED = "validated"
    APPLIED = "applied"
    REPORTS = "reports"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Applying:
    """The newest apply. `revision` is None until it has a number; `parts` by name."""

    revision: RevisionNumber | None
    by: Author
    phase: Phase
    parts: Mapping[str, PartPhase] = field(default_factory=dict)


class Conflicts(Exception):
    """Somebody else changed the same meanwhile; nothing was changed. `head` is what is in force now."""

    def __init__(self, conflicts: Sequence[Conflict], head: RevisionHead) -> None:
        self.conflicts = tuple(conflicts)
        self.head = head
        paths = ", ".join(conflict.path for conflict in self.conflicts[:5])
        more = f" and {len(conflicts) - 5} more" if len(conflicts) > 5 else ""
        super().__init__(
            f"revision {head.number} by {head.author.name} changed the same: {paths}{more}; look at it and propose again"
        )


class Busy(Exception):
    """Too much is under way, or what became of the last apply is not known yet; nothing was changed. Try again."""


class PartsRefused(Refused):
    """Parts that do not take a document, or do not answer. Everything is as it was."""

    def __init__(
        self, parts: Sequence[PartOutcome], code: RefusalCode = RefusalCode.INVALID_ARGUMENT
    ) -> None:
        self.parts = tuple(parts)
        refusing = [part for part in parts if part.problems]
        problems = [
            Problem(problem.path, f"{part.name}: {problem.message}")
            for part in refusing
            for problem in part.problems
        ]
        names = ", ".join(part.name for part in refusing)
        super().__init__(
            code, f"{names}: {problems[0].message.partition(': ')[2]}" if problems else names, problems
        )
