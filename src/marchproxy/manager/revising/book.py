"""Book: the revisions of a store, and the one in force in memory."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from marchproxy.contract.document import checksum
from marchproxy.kit.logs import get_logger
from marchproxy.manager.revising.drafting import Drafting, Prepared, restated
from marchproxy.manager.revising.outcome import Busy, Current
from marchproxy.model.changes import Document, diff, summary
from marchproxy.model.problem import InvalidValue, RefusalCode, Refused
from marchproxy.model.revision import Author, Draft, Revision, RevisionHead, RevisionNumber
from marchproxy.model.state import DesiredState
from marchproxy.store import Store, StoreUnusable

_log = get_logger(__name__)
_TAKEN_FROM_FILE = "file_checksum"
_BACK = 100  # revisions among which a part's old one is looked for


class Book:
    """Reads the store; what is in force is read once and then followed."""

    def __init__(self, store: Store, drafting: Drafting) -> None:
        self._store = store
        self._drafting = drafting
        self._current: Current | None = None

    @property
    def current(self) -> Current:
        """What is in force. Raises Busy before the first revision."""
        if self._current is None:
            raise Busy("the manager is starting; try again in a moment")
        return self._current

    async def open(
        self, state: DesiredState, source: str, keep: Callable[[Draft], Awaitable[RevisionHead]]
    ) -> bool:
        """Take up the head, or make the file's state the first revision, which `keep` stores.

        Returns whether the file has changed since its state was last taken. Raises StoreUnavailable.
        """
        canonical = await asyncio.to_thread(self._drafting.of, state)
        of_file = checksum(canonical.data)
        if await self._store.head() is None:
            if (pending := await self._store.pending()) is not None:
                await self._store.commit(pending.head.number)
            else:
                counts = summary(diff({}, canonical.document))
                await keep(
                    Draft(None, Author("file", "file"), f"from {source}", of_file, counts, canonical.data)
                )
                await self.took_file(of_file)
        await self.catch_up()
        return await self.taken_from_file() != of_file

    async def taken_from_file(self) -> str | None:
        """The checksum of the document that the file was when it was last taken. Raises StoreUnavailable."""
        return await self._store.meta(_TAKEN_FROM_FILE)

    async def took_file(self, of_file: str) -> None:
        """Remember which document the file was when it was last taken."""
        await self._store.set_meta(_TAKEN_FROM_FILE, of_file)

    async def catch_up(self) -> bool:
        """Look whether another manager has put something in force; whether there was.

        Raises StoreUnavailable; StoreUnusable, when it was another version of ours, which knows what this one does not.
        """
        head = await self._store.head()
        if head is None or (self._current is not None and self._current.head.number == head.number):
            return False
        revision = await self._revision(head.number)
        try:
            state, canonical = await asyncio.to_thread(self._drafting.take, revision.document)
        except InvalidValue as error:
            raise StoreUnusable(
                f"revision {head.number}, which is in force, is not sound for this version: {error}; "
                "start the version that it is from, and restore or make a revision that is"
            ) from error
        # of an older version of ours it may be written otherwise: what counts is what the store has
        self._current = Current(head, state, canonical.document, revision.document)
        _log.info("in force", revision=head.number, by=head.author.name, reason=head.reason)
        return True

    def adopt(self, head: RevisionHead, prepared: Prepared) -> None:
        """This is in force from now on."""
        self._current = Current(head, prepared.state, prepared.canonical.document, prepared.canonical.data)
        _log.info("in force", revision=head.number, by=head.author.name, reason=head.reason)

    async def document(self, number: RevisionNumber) -> Document:
        """A revision's plain document. Raises Refused (NOT_FOUND), StoreUnavailable."""
        if self._current is not None and self._current.head.number == number:
            return self._current.document
        return await asyncio.to_thread(_plain, (await self._revision(number)).document)

    async def restated_since(self, old: str) -> tuple[str, ...] | None:
        """What the document in force says anew of weights, since the revision of that checksum; None: it is not known."""
        heads = await self._store.revisions(limit=_BACK)
        number = next((head.number for head in heads if head.checksum == old), None)
        if number is None:
            return None
        before, now = await self.document(number), self.current.document
        return await asyncio.to_thread(lambda: restated(diff(before, now)))

    async def _revision(self, number: RevisionNumber) -> Revision:
        revision = await self._store.revision(number)
        if revision is None:
            raise Refused(RefusalCode.NOT_FOUND, f"there is no revision {number}")
        return revision


async def restated_between(before: bytes, after: bytes) -> tuple[str, ...]:
    """What a document says anew of weights, against another."""
    return await asyncio.to_thread(lambda: restated(diff(_plain(before), _plain(after))))


def _plain(document: bytes) -> Document:
    found: Document = json.loads(document)
    return found
