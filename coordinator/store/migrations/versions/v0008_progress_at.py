"""When a worker said how far it is: without it the time left would be taken from a progress some seconds old."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leases", sa.Column("progress_at", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("leases", "progress_at")
