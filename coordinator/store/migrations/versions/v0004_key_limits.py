"""API keys: calls a minute, jobs a day, USD a day and in all; jobs know the key and the request they were made with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = ("calls_per_minute", "jobs_per_day", "micro_usd_per_day", "micro_usd_total")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("api_keys", sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
    op.add_column("jobs", sa.Column("made_with", sa.String(length=24), nullable=True))
    op.create_index(op.f("ix_jobs_made_with"), "jobs", ["made_with"], unique=False)
    op.add_column("jobs", sa.Column("request_sha256", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "request_sha256")
    op.drop_index(op.f("ix_jobs_made_with"), table_name="jobs")
    op.drop_column("jobs", "made_with")
    for name in reversed(_COLUMNS):
        op.drop_column("api_keys", name)
