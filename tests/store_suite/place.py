"""Where a store of a test is, and what the suites make there."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from marchproxy.kit.clock import Clock
from marchproxy.model.identity import ApiKey, Role, Session, User
from marchproxy.model.record import AuditEntry, Event, StoredCertificate
from marchproxy.model.revision import Author, Draft, RevisionHead, RevisionNumber, Summary
from marchproxy.store import Sealer, Store, StoreSettings, open_store

NOW = datetime(2030, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """A database of one test. `plain_url` is how a driver that is not ours gets there; `folder` has the key."""

    url: str
    plain_url: str
    folder: Path

    @property
    def sealer(self) -> Sealer:
        return Sealer.of_file(self.folder / "secret.key")

    def open(self, *, clock: Clock | None = None, **settings) -> AbstractAsyncContextManager[Store]:
        return open_store(StoreSettings(self.url, **settings), self.sealer, clock=clock)

    def engine(self) -> sa.Engine:
        return sa.create_engine(self.plain_url, poolclass=sa.NullPool)

    def values(self, statement: str) -> list:
        """The first column of what a statement answers, as it lies in the database."""
        with self.engine().connect() as connection:
            return list(connection.scalars(sa.text(statement)))


def draft(parent: int | None = None, document: bytes = b'{"routes": []}', reason: str = "why") -> Draft:
    return Draft(
        parent=None if parent is None else RevisionNumber(parent),
        author=Author("ada", "user"),
        reason=reason,
        checksum=f"sum of {document[:20]!r}",
        summary=Summary(added=1, changed=2, removed=3),
        document=document,
    )


async def committed(store: Store, *, count: int = 1) -> RevisionHead:
    """So many more revisions; the last of them."""
    for _ in range(count):
        head = await store.head()
        number = head.number if head else 0
        begun = await store.begin(draft(number or None, b"document %d" % (number + 1)))
        head = await store.commit(begun.number)
    return head


def user(name: str = "ada", role: Role = Role.OPERATOR, **more) -> User:
    return User(name=name, role=role, password="$argon2id$…", created_at=NOW, **more)


def session(token: str, of: str = "ada", hours: float = 12.0) -> Session:
    return Session(
        token_hash=token,
        user=of,
        csrf="csrf",
        created_at=NOW,
        expires_at=NOW + timedelta(hours=hours),
        seen_at=NOW,
        address="192.0.2.1",
    )


def key(number: int, owner: str = "ada", **more) -> ApiKey:
    return ApiKey(
        id=f"key-{number}",
        name="deploys",
        hash=f"hash-{number}",
        role=Role.OPERATOR,
        scopes=("routes", "pools"),
        owner=owner,
        created_at=NOW + timedelta(seconds=number),
        **more,
    )


def entry(who: str = "ada", action: str = "routes.update", at: datetime = NOW) -> AuditEntry:
    return AuditEntry(
        at=at,
        who=who,
        how="session",
        address="192.0.2.1",
        action=action,
        target="routes/shop",
        outcome="done",
    )


def event(kind: str = "instance.unhealthy", subject: str = "alb-1", at: datetime = NOW) -> Event:
    return Event(at=at, kind=kind, subject=subject, message="it does not answer", severity="warning")


def certificate(name: str = "shop", key_pem: bytes = b"-----BEGIN PRIVATE KEY-----") -> StoredCertificate:
    return StoredCertificate(name=name, chain_pem=b"chain", key_pem=key_pem, created_at=NOW, by="ada")
