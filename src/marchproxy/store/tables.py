"""The tables, as the newest migration leaves them; a test compares the two."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.engine.interfaces import Dialect

metadata = MetaData()

#: SQLite counts rows in INTEGER columns only, whose numbers are 64 bits wide, too.
Number = BigInteger().with_variant(Integer(), "sqlite")


class Utc(TypeDecorator[datetime]):
    """An aware time. SQLite has no time zones: it keeps UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC; a naive time is nobody's."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time needs its zone: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """As it was given, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Plain(TypeDecorator[str]):
    """Text. PostgreSQL takes no NUL, which a request may well have: it is kept, and asked for, as U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Without NUL."""
        return None if value is None else value.replace("\0", "\ufffd")


class Words(TypeDecorator[tuple[str, ...]]):
    """Some words, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002
        """To JSON."""
        return json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:  # noqa: ARG002
        """From JSON."""
        return tuple(json.loads(value or "[]"))


revisions = Table(
    "revisions",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("parent", Number),
    Column("state", Plain, nullable=False),  # pending, committed, abandoned
    Column("created_at", Utc, nullable=False),
    Column("author", Plain, nullable=False),
    Column("author_kind", Plain, nullable=False),
    Column("reason", Plain, nullable=False),
    Column("checksum", Plain, nullable=False),
    Column("added", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("document", LargeBinary, nullable=False),  # compressed, then sealed
)
#: One at most is pending, whoever tries.
Index(
    "revisions_pending",
    revisions.c.state,
    unique=True,
    sqlite_where=revisions.c.state == "pending",
    postgresql_where=revisions.c.state == "pending",
)

users = Table(
    "users",
    metadata,
    Column("name", Plain, primary_key=True),
    Column("role", Plain, nullable=False),
    Column("password", Plain, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("must_change", Boolean, nullable=False),
    Column("last_login", Utc),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", Plain, primary_key=True),
    Column("user_name", Plain, ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("csrf", Plain, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False, index=True),
    Column("seen_at", Utc, nullable=False),
    Column("address", Plain, nullable=False),
)

keys = Table(
    "api_keys",
    metadata,
    Column("id", Plain, primary_key=True),
    Column("name", Plain, nullable=False),
    Column("hash", Plain, nullable=False, unique=True),
    Column("role", Plain, nullable=False),
    Column("scopes", Words, nullable=False),
    Column("owner", Plain, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("last_used", Utc),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Number, primary_key=True),
    Column("at", Utc, nullable=False, index=True),
    Column("who", Plain, nullable=False),
    Column("how", Plain, nullable=False),
    Column("address", Plain, nullable=False),
    Column("action", Plain, nullable=False),
    Column("target", Plain, nullable=False),
    Column("outcome", Plain, nullable=False),
    Column("detail", Plain, nullable=False),
    Index("audit_who", "who", "id"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", Number, primary_key=True),
    Column("at", Utc, nullable=False, index=True),
    Column("kind", Plain, nullable=False),
    Column("subject", Plain, nullable=False),
    Column("message", Plain, nullable=False),
    Column("severity", Plain, nullable=False),
    Index("events_subject", "subject", "id"),
    sqlite_autoincrement=True,
)

certificates = Table(
    "certificates",
    metadata,
    Column("name", Plain, primary_key=True),
    Column("chain_pem", LargeBinary, nullable=False),
    Column("key_pem", LargeBinary, nullable=False),  # sealed
    Column("created_at", Utc, nullable=False),
    Column("uploaded_by", Plain, nullable=False),
)

started_rollouts = Table(
    "started_rollouts",
    metadata,
    Column("id", Plain, primary_key=True),
    Column("route", Plain, nullable=False),
    Column("version", Plain, nullable=False),
    Column("started_by", Plain, nullable=False),
    Column("started_at", Utc, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("name", Plain, primary_key=True),
    Column("value", Plain, nullable=False),
)
