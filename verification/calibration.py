"""Calibration: what a run of `kilnet calibrate` found out about a pair of numerics classes.

A file keeps the command, the classes, the evidence (quantiles of honest machines and of cheats, and n) and the limits
that were drawn from it; verification.limits reads the limits. The rule that draws them is here, as pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from verification.limits import Limits

__all__ = ["LEAST_GAP", "Calibration", "ClassSeen", "limits_between", "quantiles"]

LEAST_GAP = 10.0
"""Least ratio of the smallest cheat to the largest honest deviation with which a model is audited at all."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassSeen(_Model):
    """One side of a calibration: a numerics class as it was met."""

    numerics_class: str
    """As the canary names it."""
    version: str
    how: str
    """How its runners were started: natively, through an emulator, by another interpreter."""
    repeated: int = Field(ge=0)
    """Cells (or items) that it computed twice: alone, and as a part of something larger."""
    repeated_differently: int = Field(ge=0)
    """Those of them that were not bit for bit the same; 0 is what the exact lane stands on."""


class Calibration(_Model):
    """One JSON file."""

    form: Literal[1] = 1
    kind: Literal["render", "infer"]
    made: str
    """Date, ISO 8601."""
    command: str
    machine: str
    classes: tuple[ClassSeen, ClassSeen]
    n: dict[str, int]
    """How much was computed and compared."""
    honest: dict[str, Any]
    cheats: dict[str, Any]
    gap: float | None
    """Smallest cheat divided by largest honest deviation; None where honest machines did not deviate at all."""
    limits: tuple[Limits, ...]
    """One entry, or none where honest machines and cheats are too close to each other."""
    refused: str = ""
    """Why there are no limits."""
    skipped: tuple[str, ...] = ()
    """Scenes and models that did not run on both sides, each with the reason."""


def limits_between(honest: float, cheat: float, *, least: float) -> tuple[float, float]:
    """(accept, reject) between the largest honest value and the smallest cheat, on a logarithmic scale: accepted up to
    one third of the way, refused beyond two thirds, a second auditor asked in between. `least` (above 0) stands in for
    an honest value below it. Raises ValueError where there is no room."""
    low = max(honest, least)
    if not 0 <= honest < cheat or not 0 < low < cheat:
        raise ValueError(f"no room between {honest:g} (honest) and {cheat:g} (cheat)")
    ratio = cheat / low
    return low * float(ratio ** (1 / 3)), low * float(ratio ** (2 / 3))


def quantiles(values: Any) -> Mapping[str, float]:
    """Minimum, 0.1%, 1%, median, 99%, 99.9% and maximum of some numbers, for a file of evidence."""
    shares = {"min": 0.0, "q001": 0.001, "q01": 0.01, "median": 0.5, "q99": 0.99, "q999": 0.999, "max": 1.0}
    return {name: float(np.quantile(values, share)) for name, share in shares.items()}
