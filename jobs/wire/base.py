"""What all that is sent has in common."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from jobs.addresses import PATTERN as ADDRESS

__all__ = ["PROTOCOL", "Address", "Error", "Hex32", "Signature", "Units", "Usd", "Wire", "units"]

PROTOCOL = 1
"""Version of this API; in every path (/v1) and in every registration."""


def units(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


Units = Annotated[int, BeforeValidator(units), PlainSerializer(str, return_type=str, when_used="json"), Field(ge=0)]
"""An amount in 10^-18 KILN; a string in JSON, since it does not fit a JavaScript number."""
Usd = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=6)]
"""An amount in USD; a string in JSON."""
Hex32 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=ADDRESS)]
Signature = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{130}$")]


class Wire(BaseModel):
    # JSON has no NaN or infinity, Python's reader lets them in, and no limit holds them.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Error(Wire):
    """The body of every answer with a status of 400 or above."""

    code: str
    """Stable machine word, such as `lease_lost`."""
    message: str
    """One line for people: what was wrong, where, what to do."""
