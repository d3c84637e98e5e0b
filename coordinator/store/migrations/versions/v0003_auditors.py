"""Who audits: strangers that were drawn, why each audit is made, and strikes with their evidence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("work", sa.Column("purpose", sa.String(length=10), nullable=True))
    op.add_column("work", sa.Column("for_node", sa.String(length=42), nullable=True))
    op.create_index(op.f("ix_work_audited_lease"), "work", ["audited_lease"], unique=False)
    op.add_column("nodes", sa.Column("audits", _INTEGER, nullable=False, server_default="0"))
    op.add_column("nodes", sa.Column("barred", sa.Text(), nullable=True))
    op.create_table(
        "strikes",
        sa.Column("id", _INTEGER, autoincrement=True, nullable=False),
        sa.Column("node", sa.String(length=42), nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("job_id", sa.String(length=24), nullable=False),
        sa.Column("lease_id", sa.String(length=24), nullable=False),
        sa.Column("tile", _INTEGER, nullable=False),
        sa.Column("lane", sa.String(length=12), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("auditor", sa.String(length=42), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("confirmed_by", sa.String(length=42), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("slashable", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["node"], ["nodes.address"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index(op.f("ix_strikes_node"), "strikes", ["node"], unique=False)
    op.create_index(op.f("ix_strikes_job_id"), "strikes", ["job_id"], unique=False)
    op.create_index(op.f("ix_strikes_lease_id"), "strikes", ["lease_id"], unique=False)
