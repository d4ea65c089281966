"""Revisions: the one who changes the desired state; every change is proposed here."""

import asyncio

from marchproxy.contract.document import Canonical, checksum, read_plain
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.manager.revising import edits
from marchproxy.manager.revising.applier import Applier
from marchproxy.manager.revising.book import Book
from marchproxy.manager.revising.drafting import Drafting
from marchproxy.manager.revising.edits import Edit, Place
from marchproxy.manager.revising.examining import Examiner, examined, expect_no_problems
from marchproxy.manager.revising.fleet import Fleet
from marchproxy.manager.revising.outcome import Applying, Busy, Current, Outcome
from marchproxy.manager.revising.tending import Tending, Tools
from marchproxy.manager.revising.turns import Turns
from marchproxy.model.changes import Change, Document, Item, diff, summary
from marchproxy.model.module import Version
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.model.revision import Author, RevisionHead, RevisionNumber
from marchproxy.model.state import DesiredState
from marchproxy.store import Store, StoreUnavailable

_log = get_logger(__name__)
_AGAIN_SECONDS = 2.0
_FILE = Author("file", "file")


class Revisions:
    """The desired state and its revisions. One at a time is put in force, in `run`, which must be running.

    What changes raises InvalidValue (problems with their paths), PartsRefused, Conflicts, Busy and StoreUnavailable; then
    nothing has been changed, but where StoreUnavailable says so.
    """

    def __init__(self, store: Store, fleet: Fleet, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._drafting = Drafting()
        self._book = Book(store, self._drafting)
        self._applier = Applier(store, fleet, clock=clock)
        self._fleet = fleet
        self._tending = Tending(Tools(store, fleet, self._book, self._applier, clock))
        self._turns = Turns()
        self.examiners: list[Examiner] = []
        """Who else is asked about proposals, before the parts are."""

    @property
    def current(self) -> Current:
        """What is in force. Raises Busy before `start` has found out."""
        return self._book.current

    @property
    def progress(self) -> Applying | None:
        """The newest apply; None: there was none in this process."""
        return self._applier.progress.newest

    @property
    def leads(self) -> bool:
        """Whether this manager, of all that share the store, is the one that acts by itself."""
        return self._tending.leads

    async def start(self, state: DesiredState, source: str) -> None:
        """Take up what the store has, or, where it has nothing, the file's `state`.

        A file that has changed since it was last taken is proposed once `run` runs. Raises StoreUnavailable.
        """
        async with self._store.exclusive():
            changed = await self._book.open(state, source, self._applier.first)
        if changed:
            self._tending.newer_file = lambda: self._take_newer_file(state, source)

    async def run(self) -> None:
        """Put proposals in force, bring parts up to date and finish what was interrupted, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._lead())
                group.create_task(self._hear())
                while True:
                    await self._turns.next(within=self._tending.wait)
                    if not self._tending.wait:
                        await self._tending.tend()
        finally:
            self._turns.close()
            await self._fleet.close()

    async def take_file(self, state: DesiredState, source: str) -> Outcome | None:
        """The file's desired state was read again: a new revision, unless it is what was last taken from it (None).

        It replaces whatever is in force. Raises as every change.
        """
        canonical = await asyncio.to_thread(self._drafting.of, state)
        outcome = await self._turns.take(lambda: self._take_file(canonical, source))
        return outcome if outcome.applied else None

    def read(self, text: bytes) -> Document:
        """The plain document in YAML or JSON. Raises InvalidValue when it is neither, or no mapping."""
        found = read_plain(text)
        if not isinstance(found, dict):
            raise InvalidValue([Problem("", "must be a mapping of sections to lists")])
        return found

    async def validate(self, document: Document) -> tuple[Problem, ...]:
        """Everything that the model finds wrong with a document; asks nobody."""
        return await asyncio.to_thread(self._drafting.faults, document, self.current.document)

    async def propose(
        self,
        document: Document,
        *,
        base: RevisionNumber | None,
        by: Author,
        reason: str,
        dry_run: bool = False,
    ) -> Outcome:
        """Put a whole document in force. `base` is the revision that it was made from; None: it replaces whatever is.

        Secrets that are hidden in it are put back. Raises Refused (NOT_FOUND), for a base that is not known.
        """
        before = None if base is None else await self._book.document(base)
        return await self._change(edits.whole(document, before), by, reason, dry_run=dry_run)

    async def put(  # noqa: PLR0913 - what is put, from what, and who says so
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

        Faults of the item have its own fields as paths. Raises Refused (ALREADY_EXISTS) with `create_only` when there
        is one.
        """
        place = Place(section, key, base_item, create_only)
        return await self._change(edits.put(place, item), by, reason, dry_run=dry_run)

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
        edit = edits.delete(Place(section, key, base_item))
        return await self._change(edit, by, reason, dry_run=dry_run)

    async def restore(
        self, number: RevisionNumber, *, by: Author, reason: str, dry_run: bool = False
    ) -> Outcome:
        """Put an earlier revision in force again, as a new one. Raises Refused (NOT_FOUND)."""
        document = await self._book.document(number)
        return await self._change(edits.whole(document, None), by, reason, dry_run=dry_run)

    async def diff(self, before: RevisionNumber, after: RevisionNumber) -> tuple[Change, ...]:
        """What differs between two revisions, secrets included: redact it before it is shown. Raises Refused (NOT_FOUND)."""
        one, other = await self._book.document(before), await self._book.document(after)
        return await asyncio.to_thread(diff, one, other)

    async def note_rollout(
        self, target: str, version: Version, *, by: Author, reason: str, of_listeners: bool = False
    ) -> Outcome:
        """A rollout has ended with everything on `version`: the document says so, too; traffic stays as it is.

        `target` is a route, or a listener with `of_listeners`; empty: all that have the version.
        """
        edit = edits.promoted_listeners if of_listeners else self._drafting.promoted_routes
        return await self._change(edit(target, version), by, reason, dry_run=False)

    async def _change(self, edit: Edit, by: Author, reason: str, *, dry_run: bool) -> Outcome:
        if dry_run:
            return await self._rehearse(edit, by, reason)
        return await self._turns.take(lambda: self._put_in_force(edit, by, reason))

    async def _rehearse(self, edit: Edit, by: Author, reason: str) -> Outcome:
        current = self.current
        prepared = await asyncio.to_thread(self._drafting.prepare, current, edit)
        head = RevisionHead(
            number=RevisionNumber(current.head.number + 1),
            parent=current.head.number,
            created_at=self._clock.now(),
            author=by,
            reason=reason,
            checksum=prepared.checksum,
            summary=summary(prepared.changes),
        )
        parts = await examined(self.examiners, prepared) + await self._applier.rehearse(prepared)
        return Outcome(head, prepared.changes, parts, prepared.merged, applied=False)

    async def _put_in_force(self, edit: Edit, by: Author, reason: str) -> Outcome:
        outcome: Outcome | None = None
        try:
            async with self._store.exclusive():
                outcome = await self._carry_out(edit, by, reason)
        except StoreUnavailable:
            if outcome is None:
                raise
        return outcome  # in force, though the store could not be let go of any more

    async def _carry_out(self, edit: Edit, by: Author, reason: str) -> Outcome:
        await self._tending.settle()
        await self._book.catch_up()
        current = self.current
        prepared = await asyncio.to_thread(self._drafting.prepare, current, edit)
        if prepared.checksum == current.head.checksum:
            return Outcome(current.head, (), merged=prepared.merged, applied=False)
        expect_no_problems(await examined(self.examiners, prepared))
        head, parts = await self._applier.apply(current, prepared, by, reason)
        self._book.adopt(head, prepared)
        self._tending.hurry()
        return Outcome(head, prepared.changes, parts, prepared.merged)

    async def _take_file(self, canonical: Canonical, source: str) -> Outcome:
        of_file = checksum(canonical.data)
        if await self._book.taken_from_file() == of_file:
            return Outcome(self.current.head, (), applied=False)
        outcome = await self._put_in_force(edits.whole(canonical.document, None), _FILE, f"from {source}")
        await self._book.took_file(of_file)
        return outcome

    async def _take_newer_file(self, state: DesiredState, source: str) -> None:
        canonical = await asyncio.to_thread(self._drafting.of, state)
        try:
            await self._take_file(canonical, source)
        except (InvalidValue, Refused) as error:
            if isinstance(error, Refused) and error.code is RefusalCode.UNAVAILABLE:
                raise Busy(f"{source} has changed, and is taken later: {error}") from error
            _log.error(
                "the file has changed, and what it says now is refused", file=source, reason=str(error)
            )
        self._tending.newer_file = None

    async def _lead(self) -> None:
        """Be the one that brings parts up to date, whenever that is possible."""
        while True:
            try:
                async with self._store.leadership() as lost:
                    self._tending.leads = True
                    self._tending.hurry()
                    self._turns.wake()
                    await lost.wait()
            except StoreUnavailable as error:
                _log.warning("leadership was lost", reason=str(error))
            finally:
                self._tending.leads = False
            await self._clock.sleep(_AGAIN_SECONDS)

    async def _hear(self) -> None:
        """Look at once when another manager has put something in force."""
        while True:
            try:
                async for topic in self._store.changes():
                    if topic == "revisions":
                        self._tending.hurry()
                        self._turns.wake()
            except StoreUnavailable as error:
                _log.warning("changes by other managers are seen later", reason=str(error))
            await self._clock.sleep(_AGAIN_SECONDS)
