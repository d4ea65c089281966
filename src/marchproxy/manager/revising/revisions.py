"""Revisions: the one who changes the desired state; every change is proposed here."""

from marchproxy.kit.clock import Clock
from marchproxy.manager.revising.outcome import Applying, Current, Outcome
from marchproxy.model.changes import Change, Document, Item
from marchproxy.model.module import Version
from marchproxy.model.problem import Problem
from marchproxy.model.revision import Author, RevisionNumber
from marchproxy.model.state import DesiredState
from marchproxy.store import Store


class Revisions:
    """The desired state and its revisions. One at a time is put in force, in `run`, which must be running.

    What changes raises InvalidValue (problems with their paths), PartsRefused, Conflicts, Busy and StoreUnavailable; then
    nothing has been changed.
    """

    def __init__(self, store: Store, fleet: "Fleet", *, clock: Clock) -> None:
        raise NotImplementedError

    @property
    def current(self) -> Current:
        """What is in force."""
        raise NotImplementedError

    @property
    def progress(self) -> Applying | None:
        """The newest apply; None: there was none in this process."""
        raise NotImplementedError

    async def start(self, state: DesiredState, source: str) -> None:
        """Take up what the store has, or, where it has nothing or the file has changed since, the file's `state`."""
        raise NotImplementedError

    async def run(self) -> None:
        """Put proposals in force, bring parts up to date and finish what was interrupted, until cancelled."""
        raise NotImplementedError

    async def take_file(self, state: DesiredState, source: str) -> Outcome | None:
        """The file's desired state was read again: a new revision, unless it is what was last taken from it (None)."""
        raise NotImplementedError

    def read(self, text: bytes) -> Document:
        """The plain document in YAML or JSON. Raises InvalidValue when it is neither, or no mapping."""
        raise NotImplementedError

    async def validate(self, document: Document) -> tuple[Problem, ...]:
        """Everything that the model finds wrong with a document; asks nobody."""
        raise NotImplementedError

    async def propose(
        self,
        document: Document,
        *,
        base: RevisionNumber | None,
        by: Author,
        reason: str,
        dry_run: bool = False,
    ) -> Outcome:
        """Put a whole document in force. `base` is the revision that it was made from; None: it replaces whatever is."""
        raise NotImplementedError

    async def put(
        self,
        section: str,
        key: str,
        item: Item,
        *,
        by: Author,
        reason: str,
        base_item: Item | None = None,
        create_only: bool = False,
        dry_run: bool = False,
    ) -> Outcome:
        """Add an item of a section, or replace it. `base_item` is what it was made from; None: it replaces whatever is.

        Raises Refused (ALREADY_EXISTS) with `create_only` when there is one.
        """
        raise NotImplementedError

    async def delete(
        self,
        section: str,
        key: str,
        *,
        by: Author,
        reason: str,
        base_item: Item | None = None,
        dry_run: bool = False,
    ) -> Outcome:
        """Remove an item. Raises Refused (NOT_FOUND) when there is none."""
        raise NotImplementedError

    async def restore(
        self, number: RevisionNumber, *, by: Author, reason: str, dry_run: bool = False
    ) -> Outcome:
        """Put an earlier revision in force again, as a new one. Raises Refused (NOT_FOUND)."""
        raise NotImplementedError

    async def diff(self, before: RevisionNumber, after: RevisionNumber) -> tuple[Change, ...]:
        """What differs between two revisions, secrets included: redact it before it is shown. Raises Refused (NOT_FOUND)."""
        raise NotImplementedError

    async def note_rollout(self, target: str, version: Version, *, by: Author, reason: str) -> Outcome:
        """A rollout over the routes of a module has ended: the document says so too. `target`: a route, or empty for all."""
        raise NotImplementedError
