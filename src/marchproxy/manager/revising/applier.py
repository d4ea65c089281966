"""Applier: one document to all parts and into the store, in an order from which every crash can be made good.

Pending in the store → with all parts → committed. Whatever ends it in between, the pending revision is still there, and
`settle` puts it in force everywhere, or takes it back everywhere.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from marchproxy.contract.fleet.takers import Offer, Refusal, Taker
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.telemetry import spanned
from marchproxy.manager.revising.drafting import Prepared
from marchproxy.manager.revising.fleet import NLB, Fleet, Sight
from marchproxy.manager.revising.outcome import Busy, Current, PartOutcome, PartPhase, PartsRefused, Phase
from marchproxy.manager.revising.progress import Progress
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.revision import Author, Draft, RevisionHead, RevisionNumber
from marchproxy.store import Moved, Store, StoreUnavailable

T = TypeVar("T")
_log = get_logger(__name__)
_STORE_SECONDS = 30.0
_STORE_PAUSE = 0.5


class Applier:
    """One at a time. `in_doubt`: what became of the last one is not known, and nothing may be applied before it is."""

    def __init__(self, store: Store, fleet: Fleet, *, clock: Clock) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self.progress = Progress()
        self.in_doubt = True  # of what a process before us may have left
        self.unwanted: set[str] = set()
        """Checksums of what must not be put in force though it may be pending: its author has been told so."""

    async def rehearse(self, prepared: Prepared) -> tuple[PartOutcome, ...]:
        """What every part says of a document; changes nothing."""
        sight = await self._fleet.look()
        refusals = await self._fleet.reload(sight.takers).check(_offer(prepared))
        absent = [
            PartOutcome(text, NLB, would_change=False, problems=(Problem("", text),)) for text in sight.silent
        ]
        return (*_outcomes(sight.takers, prepared.checksum, refusals), *absent)

    @spanned("apply")
    async def apply(
        self, current: Current, prepared: Prepared, by: Author, reason: str
    ) -> tuple[RevisionHead, tuple[PartOutcome, ...]]:
        """Put it in force everywhere. Raises PartsRefused, Busy, StoreUnavailable: then it is nowhere, or in doubt."""
        takers = seen(await self._fleet.look())
        self.progress.begin(by, takers)
        reload = self._fleet.reload(takers, taken=self.progress.took)
        offer = _offer(prepared)
        before = Offer(current.data, current.head.checksum, offer.restated)
        self._refuse(takers, prepared.checksum, await reload.check(offer))
        head = await self._begin(prepared.draft(current, by, reason))
        self.progress.enter(Phase.APPLYING, head.number)
        if refusals := await reload.apply(
            offer, before, retreat=lambda: self.progress.enter(Phase.TAKING_BACK)
        ):
            await self._abandon(head.number, prepared.checksum)
            self._refuse(takers, prepared.checksum, refusals)
        self.progress.enter(Phase.COMMITTING)
        committed = await self._commit(head.number)
        self.progress.enter(Phase.WATCHING)
        return committed, _outcomes(takers, prepared.checksum, ())

    async def first(self, draft: Draft) -> RevisionHead:
        """Keep the first revision: it is what the parts read in their file. Raises StoreUnavailable."""
        return await self._store.commit((await self._store.begin(draft)).number)

    async def settle(self, restated: Callable[[bytes, bytes], Awaitable[tuple[str, ...]]]) -> None:
        """Finish what was interrupted, or take it back. `restated` compares two documents.

        Raises Busy as long as no NLB can be asked, StoreUnavailable.
        """
        pending, head = await self._store.pending(), await self._store.head()
        if pending is None:
            self.in_doubt = False
            return
        before = None if head is None else await self._store.revision(head.number)
        number, sum_of = pending.head.number, pending.head.checksum
        if before is None:
            await self._store.commit(number)
        elif sum_of in self.unwanted:
            await self._store.abandon(number)
        else:
            changed = await restated(before.document, pending.document)
            offer = Offer(pending.document, sum_of, changed)
            back = Offer(before.document, before.head.checksum, changed)
            await self._decide(number, offer, back)
        self.in_doubt = False

    async def _decide(self, number: RevisionNumber, offer: Offer, back: Offer) -> None:
        takers = seen(await self._fleet.look(), Busy)
        reload = self._fleet.reload(takers)
        refusals = await reload.check(offer)
        if refusals:
            refusals += await reload.put_back(back, takers)
        else:
            refusals = await reload.apply(offer, back)
        if refusals:
            reasons = [f"{refusal.who}: {reason}" for refusal in refusals for reason in refusal.reasons]
            _log.warning("what was interrupted is taken back", revision=number, reasons=reasons)
            await self._store.abandon(number)
        else:
            _log.info("what was interrupted is in force", revision=number)
            await self._store.commit(number)

    async def _begin(self, draft: Draft) -> RevisionHead:
        try:
            return await self._store.begin(draft)
        except Moved as moved:
            self.in_doubt = True
            raise Busy(f"{moved}; try again") from moved
        except StoreUnavailable:
            self.in_doubt = True  # it may have been begun; nobody has been given it
            self.unwanted.add(draft.checksum)
            raise

    async def _commit(self, number: RevisionNumber) -> RevisionHead:
        try:
            return await self._persist(lambda: self._store.commit(number))
        except StoreUnavailable as error:
            self.in_doubt = True
            message = f"revision {number} is with all parts, and will be in force once the database is back: {error}"
            raise StoreUnavailable(message) from error
        except Refused as error:
            self.in_doubt = True
            raise Busy(
                f"revision {number} was taken back by another manager; look at what is in force"
            ) from error

    async def _abandon(self, number: RevisionNumber, checksum: str) -> None:
        self.unwanted.add(checksum)
        try:
            await self._persist(lambda: self._store.abandon(number))
        except StoreUnavailable as error:
            self.in_doubt = True
            _log.error("a revision that was refused is still pending", revision=number, reason=str(error))
        else:
            self.unwanted.discard(checksum)

    async def _persist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the store until it answers, for a while: the parts already have what it is to write down."""
        until = self._clock.monotonic() + _STORE_SECONDS
        while True:
            try:
                return await ask()
            except StoreUnavailable as error:
                if self._clock.monotonic() >= until:
                    raise
                _log.warning("the store does not answer in the middle of an apply", reason=str(error))
            await self._clock.sleep(_STORE_PAUSE)

    def _refuse(self, takers: Sequence[Taker], checksum: str, refusals: Sequence[Refusal]) -> None:
        if not refusals:
            return
        self.progress.mark([refusal.who for refusal in refusals], PartPhase.REFUSED)
        self.progress.enter(Phase.REFUSED)
        silent = all(refusal.silent for refusal in refusals)
        code = RefusalCode.UNAVAILABLE if silent else RefusalCode.INVALID_ARGUMENT
        raise PartsRefused(_outcomes(takers, checksum, refusals), code)


def seen(sight: Sight, otherwise: type[Exception] | None = None) -> tuple[Taker, ...]:
    """Who takes part. Raises PartsRefused, or `otherwise`, when nobody can say."""
    if not sight.blind:
        return sight.takers
    if otherwise is not None:
        raise otherwise(f"no NLB can be asked: {'; '.join(sight.silent)}")
    parts = [
        PartOutcome("nlb", NLB, would_change=False, problems=(Problem("", text),)) for text in sight.silent
    ]
    raise PartsRefused(parts, RefusalCode.UNAVAILABLE)


def _offer(prepared: Prepared) -> Offer:
    return Offer(prepared.canonical.data, prepared.checksum, prepared.restated)


def _outcomes(takers: Sequence[Taker], checksum: str, refusals: Sequence[Refusal]) -> tuple[PartOutcome, ...]:
    problems = {refusal.who: refusal.problems for refusal in refusals}
    return tuple(
        PartOutcome(taker.name, taker.kind, taker.checksum != checksum, problems.get(taker.name, ()))
        for taker in takers
    )
