"""Operators and their stake, awards, disputes, signed completions, and transactions that are replaced by fee."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nodes", sa.Column("operator", sa.String(length=42), nullable=True))
    op.create_table(
        "operators",
        sa.Column("address", sa.String(length=42), nullable=False),
        sa.Column("registered", sa.Boolean(), nullable=False),
        sa.Column("staked", sa.String(length=78), nullable=False),
        sa.Column("looked_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_index(op.f("ix_operators_looked_at"), "operators", ["looked_at"], unique=False)
    op.create_table(
        "awards",
        sa.Column("job_id", sa.String(length=24), nullable=False),
        sa.Column("operator", sa.String(length=42), nullable=False),
        sa.Column("stake", sa.String(length=78), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("tx", sa.String(length=66), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("job_id", "operator"),
    )
    op.create_index(op.f("ix_awards_operator"), "awards", ["operator"], unique=False)
    op.create_index(op.f("ix_awards_state"), "awards", ["state"], unique=False)
    op.add_column("strikes", sa.Column("dispute", sa.String(length=10), nullable=True))
    op.add_column("strikes", sa.Column("dispute_reason", sa.Text(), nullable=True))
    op.add_column("strikes", sa.Column("dispute_tx", sa.String(length=66), nullable=True))
    op.add_column("strikes", sa.Column("slashed", sa.String(length=78), nullable=True))
    op.create_index(op.f("ix_strikes_dispute"), "strikes", ["dispute"], unique=False)
    op.add_column("receipts", sa.Column("withdrawn", sa.Text(), nullable=True))
    op.add_column("leases", sa.Column("completion_signature", sa.String(length=132), nullable=True))
    op.add_column("chain_transactions", sa.Column("sent_at", sa.Double(), nullable=True))
    op.add_column("chain_transactions", sa.Column("replaced", sa.JSON(none_as_null=True), nullable=True))
