"""API keys: hashed, with a spending limit and a quota; sessions and jobs name the key they came by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("spend_limit", sa.String(length=78), nullable=True),
        sa.Column("calls_per_second", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["owner"], ["accounts.address"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key_hash"),
    )
    op.create_index(op.f("ix_api_keys_owner"), "api_keys", ["owner"], unique=False)
    # No foreign key: SQLite would have to copy the whole table for it.
    for table in ("jobs", "sign_in_sessions"):
        op.add_column(table, sa.Column("api_key", sa.String(length=24), nullable=True))
        op.create_index(op.f(f"ix_{table}_api_key"), table, ["api_key"], unique=False)


def downgrade() -> None:
    for table in ("sign_in_sessions", "jobs"):
        op.drop_index(op.f(f"ix_{table}_api_key"), table_name=table)
        op.drop_column(table, "api_key")
    op.drop_index(op.f("ix_api_keys_owner"), table_name="api_keys")
    op.drop_table("api_keys")
