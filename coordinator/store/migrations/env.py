"""Alembic's way in: the caller (coordinator.store.database) hands over an open connection and its transaction."""

from __future__ import annotations

from alembic import context

from coordinator.store.models import Base

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("migrations run through coordinator.store.database.Database.migrate")
context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True, render_as_batch=True)
context.run_migrations()
