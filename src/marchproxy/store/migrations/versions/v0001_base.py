"""Revisions, users, sessions, keys, audit, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From nothing."""
    _revisions()
    _identities()
    _records()
    op.create_table("meta", sa.Column("name", sa.Text, primary_key=True), _text("value"))


def _revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("number", _Number, primary_key=True, autoincrement=False),
        sa.Column("parent", _Number),
        _text("state"),
        _time("created_at"),
        _text("author"),
        _text("author_kind"),
        _text("reason"),
        _text("checksum"),
        sa.Column("added", sa.Integer, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("removed", sa.Integer, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "revisions_pending",
        "revisions",
        ["state"],
        unique=True,
        sqlite_where=pending,
        postgresql_where=pending,
    )


def _identities() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.Text, primary_key=True),
        _text("role"),
        _text("password"),
        _time("created_at"),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("must_change", sa.Boolean, nullable=False),
        sa.Column("last_login", _Time),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.Text, primary_key=True),
        sa.Column("user_name", sa.Text, sa.ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
        _text("csrf"),
        _time("created_at"),
        _time("expires_at"),
        _time("seen_at"),
        _text("address"),
    )
    op.create_index("ix_sessions_user_name", "sessions", ["user_name"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        _text("name"),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
        _text("role"),
        _text("scopes"),
        _text("owner"),
        _time("created_at"),
        sa.Column("expires_at", _Time),
        sa.Column("last_used", _Time),
    )


def _records() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _Number, primary_key=True),
        _time("at"),
        *(_text(name) for name in ("who", "how", "address", "action", "target", "outcome", "detail")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "events",
        sa.Column("id", _Number, primary_key=True),
        _time("at"),
        *(_text(name) for name in ("kind", "subject", "message", "severity")),
        sqlite_autoincrement=True,
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, _Time, nullable=False)
