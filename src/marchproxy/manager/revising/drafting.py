"""Drafting: what an edit makes of the document in force, checked and in canonical form. Pure, and long with many routes."""

from dataclasses import dataclass

from marchproxy.contract.document import Canon, Canonical, Decoder, checksum
from marchproxy.manager.revising.edits import Edit, Wanted
from marchproxy.manager.revising.outcome import Conflicts, Current
from marchproxy.model.changes import Change, Document, diff, hidden, merge, summary, unredact
from marchproxy.model.module import Version
from marchproxy.model.problem import InvalidValue, Problem
from marchproxy.model.revision import Author, Draft
from marchproxy.model.state import DesiredState
from marchproxy.model.versions import set_version_weight


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sound state that may follow the one in force. `merged`: what both changed was put together."""

    state: DesiredState
    canonical: Canonical
    checksum: str
    changes: tuple[Change, ...]
    merged: bool

    def draft(self, current: Current, by: Author, reason: str) -> Draft:
        """As it is handed to the store."""
        return Draft(
            parent=current.head.number,
            author=by,
            reason=reason,
            checksum=self.checksum,
            summary=summary(self.changes),
            document=self.canonical.data,
        )

    @property
    def restated(self) -> tuple[str, ...]:
        """The routes and listeners of which it says something new about weights."""
        return restated(self.changes)


def restated(changes: tuple[Change, ...]) -> tuple[str, ...]:
    """The routes and listeners whose weights a change of the document is about."""
    telling = {"routes": {"backends", "ai"}, "listeners": {"version_weights"}}
    return tuple(
        change.key for change in changes if telling.get(change.section, set()).intersection(change.fields)
    )


class Drafting:
    """Remembers the last document, so that an edit of one item costs little. May be used from several threads."""

    def __init__(self) -> None:
        self._canon = Canon()
        self._decoder = Decoder()

    def take(self, data: bytes) -> tuple[DesiredState, Canonical]:
        """The state in a revision's document. Raises InvalidValue when this version finds it unsound."""
        return self._canonical(self._decoder.decode(data))

    def of(self, state: DesiredState) -> Canonical:
        """The canonical document of a sound state."""
        return self._canonical(state)[1]

    def faults(self, document: Document, current: Document) -> tuple[Problem, ...]:
        """Everything that is wrong with a document, before anybody is asked."""
        try:
            self._sound(Wanted(document), current)
        except InvalidValue as error:
            return error.problems
        return ()

    def prepare(self, current: Current, edit: Edit) -> Prepared:
        """What is to be put in force. Raises InvalidValue, Refused, Conflicts."""
        wanted = edit(current.document)
        state, mine = self._sound(wanted, current.document)
        merged = wanted.base is not None and bool(diff(wanted.base, current.document))
        if wanted.base is not None and merged:
            found = merge(wanted.base, mine.document, current.document)
            if found.conflicts:
                raise Conflicts(found.conflicts, current.head)
            state, mine = self._canonical(self._decoder.state(found.document))
        return Prepared(state, mine, checksum(mine.data), diff(current.document, mine.document), merged)

    def promoted_routes(self, target: str, version: Version) -> Edit:
        """Everything on one version of a route's pools; `target` empty: of all routes that have it. Raises Refused at its turn."""

        def edit(document: Document) -> Wanted:
            state = set_version_weight(self._decoder.state(document), version, 100, target)
            return Wanted(self.of(state).document)

        return edit

    def _sound(self, wanted: Wanted, current: Document) -> tuple[DesiredState, Canonical]:
        document = unredact(wanted.document, wanted.base or current)
        secrets = [
            Problem(path, "is hidden (***): write the value itself") for path in hidden(document, current)
        ]
        try:
            if secrets:
                raise InvalidValue(secrets)
            return self._canonical(self._decoder.state(document))
        except InvalidValue as error:
            raise InvalidValue(_within(wanted.place, problem) for problem in error.problems) from error

    def _canonical(self, state: DesiredState) -> tuple[DesiredState, Canonical]:
        canonical = self._canon.of(state)
        self._decoder.know(canonical.document, state)
        return state, canonical


def _within(place: str, problem: Problem) -> Problem:
    """The path of a fault of the one item that is edited, by the item's own fields."""
    if place and problem.path.startswith(f"{place}."):
        return Problem(problem.path.removeprefix(f"{place}."), problem.message)
    return Problem("", problem.message) if problem.path == place and place else problem
