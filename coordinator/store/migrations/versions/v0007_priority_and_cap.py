"""What a client changes of a job after the order: its place among its own jobs, and a cap below the escrow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("priority", _INTEGER, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("lowered_cap", sa.String(length=78), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "lowered_cap")
    op.drop_column("jobs", "priority")
