"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("address", sa.String(length=42), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", _INTEGER, nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index(op.f("ix_blobs_owner"), "blobs", ["owner"], unique=False)
    op.create_table(
        "chain_transactions",
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("nonce", _INTEGER, nullable=False),
        sa.Column("hash", sa.String(length=66), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("nonce"),
    )
    op.create_index(op.f("ix_chain_transactions_state"), "chain_transactions", ["state"], unique=False)
    op.create_table(
        "epochs",
        sa.Column("number", _INTEGER, nullable=False),
        sa.Column("root", sa.String(length=66), nullable=False),
        sa.Column("total", sa.String(length=78), nullable=False),
        sa.Column("tx", sa.String(length=66), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "events",
        sa.Column("id", _INTEGER, autoincrement=True, nullable=False),
        sa.Column("job_id", sa.String(length=24), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("event_job", "events", ["job_id", "id"], unique=False)
    op.create_table(
        "nodes",
        sa.Column("address", sa.String(length=42), nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("sandboxed", sa.Boolean(), nullable=False),
        sa.Column("registration", sa.JSON(), nullable=False),
        sa.Column("ask_usd_per_kiln_hour", sa.Double(), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=False),
        sa.Column("registered_at", sa.Double(), nullable=False),
        sa.Column("last_seen", sa.Double(), nullable=False),
        sa.Column("accepted", _INTEGER, nullable=False),
        sa.Column("rejected", _INTEGER, nullable=False),
        sa.Column("suspicion", _INTEGER, nullable=False),
        sa.Column("suspended", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_index(op.f("ix_nodes_last_seen"), "nodes", ["last_seen"], unique=False)
    op.create_index(op.f("ix_nodes_owner"), "nodes", ["owner"], unique=False)
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "sign_in_nonces",
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=42), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("nonce"),
    )
    op.create_index(op.f("ix_sign_in_nonces_expires_at"), "sign_in_nonces", ["expires_at"], unique=False)
    op.create_table(
        "blob_holders",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=42), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sha256", "address"),
    )
    op.create_index(op.f("ix_blob_holders_address"), "blob_holders", ["address"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("idempotency_key", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("version", _INTEGER, nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("error_code", sa.String(length=100), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("description", sa.JSON(), nullable=True),
        sa.Column("contract", sa.JSON(), nullable=True),
        sa.Column("cost", sa.JSON(), nullable=True),
        sa.Column("quote", sa.JSON(), nullable=True),
        sa.Column("order", sa.JSON(), nullable=True),
        sa.Column("frames", sa.JSON(), nullable=True),
        sa.Column("cap", sa.String(length=78), nullable=True),
        sa.Column("price", sa.String(length=78), nullable=True),
        sa.Column("deadline", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("accepted_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("compute_seconds", sa.Double(), nullable=False),
        sa.Column("audit_seconds", sa.Double(), nullable=False),
        sa.Column("receipt_root", sa.String(length=66), nullable=True),
        sa.Column("settlement", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner"],
            ["accounts.address"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner", "idempotency_key"),
    )
    op.create_index(op.f("ix_jobs_created_at"), "jobs", ["created_at"], unique=False)
    op.create_index(op.f("ix_jobs_owner"), "jobs", ["owner"], unique=False)
    op.create_index(op.f("ix_jobs_state"), "jobs", ["state"], unique=False)
    op.create_table(
        "rewards",
        sa.Column("epoch", _INTEGER, nullable=False),
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("cumulative", sa.String(length=78), nullable=False),
        sa.ForeignKeyConstraint(
            ["epoch"],
            ["epochs.number"],
        ),
        sa.PrimaryKeyConstraint("epoch", "account"),
    )
    op.create_table(
        "sign_in_sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=42), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["address"],
            ["accounts.address"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index(op.f("ix_sign_in_sessions_expires_at"), "sign_in_sessions", ["expires_at"], unique=False)
    op.create_table(
        "job_blobs",
        sa.Column("job_id", sa.String(length=24), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.PrimaryKeyConstraint("job_id", "sha256"),
    )
    op.create_index(op.f("ix_job_blobs_sha256"), "job_blobs", ["sha256"], unique=False)
    op.create_table(
        "outputs",
        sa.Column("job_id", sa.String(length=24), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("frame", _INTEGER, nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", _INTEGER, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.PrimaryKeyConstraint("job_id", "path"),
    )
    op.create_table(
        "work",
        sa.Column("id", _INTEGER, autoincrement=True, nullable=False),
        sa.Column("job_id", sa.String(length=24), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("index", _INTEGER, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("version", _INTEGER, nullable=False),
        sa.Column("priority", _INTEGER, nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("numerics_class", sa.String(length=200), nullable=True),
        sa.Column("runtime", sa.String(length=40), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("expected_seconds", sa.Double(), nullable=False),
        sa.Column("next_token", _INTEGER, nullable=False),
        sa.Column("attempts", _INTEGER, nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("excluded", sa.JSON(), nullable=False),
        sa.Column("audited_lease", sa.String(length=24), nullable=True),
        sa.Column("price", sa.String(length=78), nullable=True),
        sa.Column("accepted_lease", sa.String(length=24), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "kind", "key"),
    )
    op.create_index("work_claim", "work", ["state", "trusted", "runtime", "priority", "id"], unique=False)
    op.create_index("work_job", "work", ["job_id", "kind", "state"], unique=False)
    op.create_table(
        "leases",
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("work_id", _INTEGER, nullable=False),
        sa.Column("job_id", sa.String(length=24), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("node", sa.String(length=42), nullable=False),
        sa.Column("token", _INTEGER, nullable=False),
        sa.Column("attempt", _INTEGER, nullable=False),
        sa.Column("numerics_class", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("version", _INTEGER, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("last_expiry", sa.Double(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.String(length=66), nullable=True),
        sa.Column("node_signature", sa.String(length=132), nullable=True),
        sa.Column("committed_at", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("blob", sa.String(length=64), nullable=True),
        sa.Column("cells", sa.JSON(), nullable=True),
        sa.Column("lane", sa.String(length=12), nullable=True),
        sa.Column("verdict", sa.String(length=10), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.ForeignKeyConstraint(
            ["node"],
            ["nodes.address"],
        ),
        sa.ForeignKeyConstraint(
            ["work_id"],
            ["work.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_leases_expires_at"), "leases", ["expires_at"], unique=False)
    op.create_index(op.f("ix_leases_job_id"), "leases", ["job_id"], unique=False)
    op.create_index(op.f("ix_leases_node"), "leases", ["node"], unique=False)
    op.create_index(op.f("ix_leases_state"), "leases", ["state"], unique=False)
    op.create_index(op.f("ix_leases_work_id"), "leases", ["work_id"], unique=False)
    op.create_table(
        "receipts",
        sa.Column("work_id", _INTEGER, nullable=False),
        sa.Column("job_id", sa.String(length=24), nullable=False),
        sa.Column("tile", _INTEGER, nullable=False),
        sa.Column("attempt", _INTEGER, nullable=False),
        sa.Column("lease_id", sa.String(length=24), nullable=False),
        sa.Column("node", sa.String(length=42), nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("commitment", sa.String(length=66), nullable=False),
        sa.Column("price", sa.String(length=78), nullable=False),
        sa.Column("lane", sa.String(length=12), nullable=False),
        sa.Column("auditor", sa.String(length=42), nullable=True),
        sa.Column("signature", sa.String(length=132), nullable=False),
        sa.Column("leaf", sa.String(length=66), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("epoch", _INTEGER, nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.ForeignKeyConstraint(
            ["lease_id"],
            ["leases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["work_id"],
            ["work.id"],
        ),
        sa.PrimaryKeyConstraint("work_id"),
    )
    op.create_index(op.f("ix_receipts_epoch"), "receipts", ["epoch"], unique=False)
    op.create_index(op.f("ix_receipts_job_id"), "receipts", ["job_id"], unique=False)
    op.create_index(op.f("ix_receipts_node"), "receipts", ["node"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_receipts_node"), table_name="receipts")
    op.drop_index(op.f("ix_receipts_job_id"), table_name="receipts")
    op.drop_index(op.f("ix_receipts_epoch"), table_name="receipts")
    op.drop_table("receipts")
    op.drop_index(op.f("ix_leases_work_id"), table_name="leases")
    op.drop_index(op.f("ix_leases_state"), table_name="leases")
    op.drop_index(op.f("ix_leases_node"), table_name="leases")
    op.drop_index(op.f("ix_leases_job_id"), table_name="leases")
    op.drop_index(op.f("ix_leases_expires_at"), table_name="leases")
    op.drop_table("leases")
    op.drop_index("work_job", table_name="work")
    op.drop_index("work_claim", table_name="work")
    op.drop_table("work")
    op.drop_table("outputs")
    op.drop_index(op.f("ix_job_blobs_sha256"), table_name="job_blobs")
    op.drop_table("job_blobs")
    op.drop_index(op.f("ix_sign_in_sessions_expires_at"), table_name="sign_in_sessions")
    op.drop_table("sign_in_sessions")
    op.drop_table("rewards")
    op.drop_index(op.f("ix_jobs_state"), table_name="jobs")
    op.drop_index(op.f("ix_jobs_owner"), table_name="jobs")
    op.drop_index(op.f("ix_jobs_created_at"), table_name="jobs")
    op.drop_table("jobs")
    op.drop_index(op.f("ix_blob_holders_address"), table_name="blob_holders")
    op.drop_table("blob_holders")
    op.drop_index(op.f("ix_sign_in_nonces_expires_at"), table_name="sign_in_nonces")
    op.drop_table("sign_in_nonces")
    op.drop_table("settings")
    op.drop_index(op.f("ix_nodes_owner"), table_name="nodes")
    op.drop_index(op.f("ix_nodes_last_seen"), table_name="nodes")
    op.drop_table("nodes")
    op.drop_index("event_job", table_name="events")
    op.drop_table("events")
    op.drop_table("epochs")
    op.drop_index(op.f("ix_chain_transactions_state"), table_name="chain_transactions")
    op.drop_table("chain_transactions")
    op.drop_index(op.f("ix_blobs_owner"), table_name="blobs")
    op.drop_table("blobs")
    op.drop_table("accounts")
