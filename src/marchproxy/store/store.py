"""Store: what every store can do. All of it is one transaction each, durable when the call returns.

Every method may raise StoreUnavailable. What names something that is not there, or is there already, is refused with
`Refused`. Times are aware; the store adds none of its own but a revision's.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from marchproxy.model.identity import ApiKey, Session, User
from marchproxy.model.record import AuditEntry, Event, StartedRollout, StoredCertificate
from marchproxy.model.revision import Draft, Revision, RevisionHead, RevisionNumber

#: What `changes` may tell.
TOPICS = ("revisions", "users", "keys", "audit", "events", "certificates", "rollouts", "meta")


class RevisionStore(ABC):
    """Revisions. They never change; the head is the newest one that is committed, and one at most is pending."""

    @abstractmethod
    async def head(self) -> RevisionHead | None:
        """The revision in force; None in an empty store."""

    @abstractmethod
    async def revision(self, number: RevisionNumber) -> Revision | None:
        """A committed revision with its document."""

    @abstractmethod
    async def revisions(self, *, before: int | None = None, limit: int = 50) -> tuple[RevisionHead, ...]:
        """Committed ones, the newest first; `before` a number."""

    @abstractmethod
    async def begin(self, draft: Draft) -> RevisionHead:
        """Keep a draft as the pending revision; raises Moved. Numbers are never used again, also not of abandoned ones."""

    @abstractmethod
    async def pending(self) -> Revision | None:
        """The one that was begun and neither committed nor abandoned, whoever began it."""

    @abstractmethod
    async def commit(self, number: RevisionNumber) -> RevisionHead:
        """Make the pending revision the head; done twice is done. Refused when it is neither pending nor committed."""

    @abstractmethod
    async def abandon(self, number: RevisionNumber) -> None:
        """Forget the pending revision; done twice is done. Refused when it is committed."""


class IdentityStore(ABC):
    """Users, their sessions and keys."""

    @abstractmethod
    async def users(self) -> tuple[User, ...]:
        """By name."""

    @abstractmethod
    async def user(self, name: str) -> User | None: ...  # noqa: D102 - the name says it

    @abstractmethod
    async def add_user(self, user: User) -> None:
        """Refused when there is one of that name."""

    @abstractmethod
    async def change_user(self, user: User, before: User) -> None:
        """Change what differs from `before`; what others have changed since then stays. Refused when there is none."""

    @abstractmethod
    async def remove_user(self, name: str) -> None:
        """With all sessions and keys of that user. Refused when there is none."""

    @abstractmethod
    async def add_session(self, session: Session, *, most: int = 100) -> None:
        """Add one, and end the oldest of its user beyond `most`. Refused when its user is not there."""

    @abstractmethod
    async def session(self, token_hash: str) -> Session | None:
        """Also one that has expired: who asks knows the time."""

    @abstractmethod
    async def touch_session(self, token_hash: str, seen_at: datetime) -> None:
        """Note when it was last used; nothing when it is gone."""

    @abstractmethod
    async def remove_session(self, token_hash: str) -> None:
        """Nothing when it is gone."""

    @abstractmethod
    async def remove_sessions_of(self, user: str, *, but: str = "") -> None:
        """All sessions of a user, except the one with this token hash."""

    @abstractmethod
    async def prune_sessions(self, now: datetime) -> int:
        """Remove what has expired; how many."""

    @abstractmethod
    async def add_key(self, key: ApiKey) -> None:
        """Refused when there is one with that id, or that hash."""

    @abstractmethod
    async def keys(self) -> tuple[ApiKey, ...]:
        """The oldest first."""

    @abstractmethod
    async def key_by_hash(self, key_hash: str) -> ApiKey | None:
        """Also one that has expired."""

    @abstractmethod
    async def touch_key(self, key_id: str, last_used: datetime) -> None:
        """Note when it was last used; nothing when it is gone."""

    @abstractmethod
    async def remove_key(self, key_id: str) -> None:
        """Refused when there is none."""


class RecordStore(ABC):
    """What was done and what happened. Both are kept for some time and up to some number; `before` is an id."""

    @abstractmethod
    async def write_audit(self, entry: AuditEntry) -> AuditEntry:
        """The entry with its id."""

    @abstractmethod
    async def audit(
        self, *, before: int | None = None, limit: int = 50, who: str | None = None, action: str | None = None
    ) -> tuple[AuditEntry, ...]:
        """The newest first. `action` is whole (`routes.update`) or what stands before the dot (`routes`)."""

    @abstractmethod
    async def write_event(self, event: Event) -> Event:
        """The event with its id."""

    @abstractmethod
    async def events(
        self,
        *,
        before: int | None = None,
        limit: int = 50,
        kind: str | None = None,
        subject: str | None = None,
    ) -> tuple[Event, ...]:
        """The newest first. `kind` is whole (`instance.unhealthy`) or what stands before the dot (`instance`)."""

    @abstractmethod
    async def prune_records(self) -> int:
        """Remove the audit and events that are too old or too many; how many. The store itself does so every hour."""


class ThingStore(ABC):
    """Certificates, rollouts under way, and what else has a name."""

    @abstractmethod
    async def put_certificate(self, certificate: StoredCertificate) -> None:
        """Add it, or replace the one of that name."""

    @abstractmethod
    async def certificate(self, name: str) -> StoredCertificate | None: ...  # noqa: D102 - the name says it

    @abstractmethod
    async def certificates(self) -> tuple[StoredCertificate, ...]:
        """By name."""

    @abstractmethod
    async def remove_certificate(self, name: str) -> None:
        """Refused when there is none."""

    @abstractmethod
    async def put_started_rollout(self, rollout: StartedRollout) -> None:
        """Add it, or replace the one of that id."""

    @abstractmethod
    async def started_rollouts(self) -> tuple[StartedRollout, ...]:
        """The oldest first."""

    @abstractmethod
    async def remove_started_rollout(self, rollout_id: str) -> None:
        """Nothing when it is gone."""

    @abstractmethod
    async def meta(self, name: str) -> str | None:
        """A small value that was kept under a name."""

    @abstractmethod
    async def set_meta(self, name: str, value: str) -> None:
        """Keep a small value, or replace it. Not for secrets."""


class Store(RevisionStore, IdentityStore, RecordStore, ThingStore):
    """The whole; `open_store` makes one."""

    @abstractmethod
    def exclusive(self, *, within: float = 30.0) -> AbstractAsyncContextManager[asyncio.Event]:
        """Keep every other holder out, of all managers; raises StoreUnavailable when it takes more than so many seconds.

        The event is set when the hold was lost, with the connection to the database.
        """

    @abstractmethod
    def leadership(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """Wait, however long, to be the one leader of all managers. The event is set when leadership was lost."""

    @abstractmethod
    def fingerprint(self, data: bytes) -> str:
        """A keyed hash, the same at every manager of the database: who sees it cannot try out what the data may be."""

    @abstractmethod
    def changes(self) -> AsyncIterator[str]:
        """Topics of TOPICS as anybody changes something, from this call on; some may be told twice, or two as one."""
