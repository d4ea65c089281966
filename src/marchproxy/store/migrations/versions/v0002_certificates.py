"""Certificates and started rollouts; indexes of audit and events for those who look for somebody, or prune."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From 0001."""
    op.create_table(
        "certificates",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("chain_pem", sa.LargeBinary, nullable=False),
        sa.Column("key_pem", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _Time, nullable=False),
        sa.Column("uploaded_by", sa.Text, nullable=False),
    )
    op.create_table(
        "started_rollouts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("started_at", _Time, nullable=False),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("audit_who", "audit", ["who", "id"])
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("events_subject", "events", ["subject", "id"])
