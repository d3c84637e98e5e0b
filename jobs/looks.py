"""How far a frame has come, as the gateway answers it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["FrameLook"]


class FrameLook(BaseModel):
    """What is seen of a frame, of the tiles that passed."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    covered: float
    """Share of its pixels of which any tile has passed, 0..1."""
    samples: float
    """Samples per covered pixel, on average."""
    noise: float | None
    """Standard deviation of a pixel's noise as it is seen, as a share of white; None where too little is there."""
