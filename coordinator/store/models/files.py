"""Bytes, who holds them, and settings that the program keeps for itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.store.models.base import Base

__all__ = ["Blob", "BlobHolder", "JobBlob", "Setting"]


class Setting(Base):
    """A value that all processes of a deployment share (contract addresses, trusted addresses)."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[dict[str, Any]]


class Blob(Base):
    """A file by content. Rows exist for complete blobs only; what is under way lies in the upload folder."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column()
    owner: Mapped[str] = mapped_column(String(42), index=True)
    """Who uploaded it first."""
    created_at: Mapped[float]


class BlobHolder(Base):
    """Who has uploaded all bytes of a blob. Knowing a hash is not having the file: a job may only name what its owner
    holds, or a hash seen somewhere would open another account's scene. Its bytes count towards the account's quota."""

    __tablename__ = "blob_holders"

    sha256: Mapped[str] = mapped_column(ForeignKey("blobs.sha256", ondelete="CASCADE"), primary_key=True)
    address: Mapped[str] = mapped_column(String(42), primary_key=True, index=True)
    created_at: Mapped[float]


class JobBlob(Base):
    """Which job needs which blob, and as what: who may read it, and how long it is kept."""

    __tablename__ = "job_blobs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(20))
    """asset, result, audit, output, reference."""
