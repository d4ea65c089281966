"""Progress: how far the newest apply has come, for people who watch."""

from collections.abc import Iterable
from dataclasses import replace

from marchproxy.contract.fleet.takers import Taker
from marchproxy.manager.revising.outcome import Applying, PartPhase, Phase
from marchproxy.model.revision import Author, RevisionNumber


class Progress:
    """Keeps the newest one as a value that never changes."""

    def __init__(self) -> None:
        self.newest: Applying | None = None

    def begin(self, by: Author, takers: Iterable[Taker]) -> None:
        """Another apply begins, with these parts."""
        parts = {taker.name: PartPhase.WAITING for taker in takers}
        self.newest = Applying(None, by, Phase.VALIDATING, parts)

    def enter(self, phase: Phase, number: RevisionNumber | None = None) -> None:
        """It has come so far; `number` once it has one."""
        if self.newest is not None:
            self.newest = replace(self.newest, phase=phase, revision=number or self.newest.revision)

    def mark(self, names: Iterable[str], part: PartPhase) -> None:
        """So far have these parts come; those that do not take part are left out."""
        if self.newest is not None:
            known = {name: part for name in names if name in self.newest.parts}
            self.newest = replace(self.newest, parts={**self.newest.parts, **known})

    def took(self, taker: Taker) -> None:
        """A part took what it was offered."""
        newest = self.newest
        if newest is None or newest.phase is Phase.TAKING_BACK:
            return
        applying = newest.phase is Phase.APPLYING
        self.mark([taker.name], PartPhase.APPLIED if applying else PartPhase.VALIDATED)

    @property
    def awaited(self) -> tuple[str, ...]:
        """The parts that have applied the document in force and not reported it yet."""
        newest = self.newest
        if newest is None or newest.phase is not Phase.WATCHING:
            return ()
        return tuple(name for name, phase in newest.parts.items() if phase is PartPhase.APPLIED)
