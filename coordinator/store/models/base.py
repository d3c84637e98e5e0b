"""What all tables share: their base, and the type of amounts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

__all__ = ["Amount", "Base"]


class Amount(TypeDecorator[int]):
    """A non-negative integer of up to 78 digits (uint256), as a zero-padded decimal string."""

    impl = String(78)
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: object) -> str | None:
        return None if value is None else f"{value:078d}"

    def process_result_value(self, value: str | None, _dialect: object) -> int | None:
        return None if value is None else int(value)


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        bytes: LargeBinary,
        # Sizes in bytes pass 2^31; SQLite counts up INTEGER keys only, which have 64 bits there.
        int: BigInteger().with_variant(Integer(), "sqlite"),
    }
