"""What calibration found out about a pair of numerics classes: the limits of the tolerant lane, read from JSON.

The shipped files lie in verification/calibration_data/, an operator's own in the folder of Settings.calibration;
`kilnet calibrate` writes both. A pair that is in neither was never calibrated: its limits are None, and nobody guesses.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jobs.errors import BadInput
from jobs.spec import explain

__all__ = ["ADVERSARIES", "SHIPPED", "Limits", "limits_for", "read_limits"]

ADVERSARIES = "adversaries.json"
"""Beside the shipped calibrations: what `make adversaries` measured. It holds no limits."""
SHIPPED = Path(__file__).resolve().parent / "calibration_data"


class Limits(BaseModel):
    """Where the tolerant lane accepts and refuses for one pair of classes; between the two it escalates.

    `render`: a pixel is off where any channel differs by more than `pixel_difference` of max(`pixel_floor`,
    |recomputed value|); the measure is the share of a tile's challenged pixels that are off. `infer`: the measure is
    the root mean square deviation of the fingerprint relative to that of the recomputed one, and, with limits of its
    own, that of the outputs (of outputs that are not floats: the share of values that differ)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    worker_class: str = Field(max_length=200)
    auditor_class: str = Field(max_length=200)
    kind: str = Field(pattern="^(render|infer)$")
    accept: float = Field(ge=0)
    """Up to here as between honest machines."""
    reject: float = Field(gt=0)
    """Beyond here refused."""
    accept_output: float = Field(default=0.0, ge=0)
    reject_output: float = Field(default=0.0, ge=0)
    pixel_difference: float = Field(default=1e-3, gt=0)
    pixel_floor: float = Field(default=1.0, gt=0)
    evidence: dict[str, Any] = Field(default_factory=dict)
    """Honest and cheat quantiles, their gap, n, date, and the command that measured them."""

    @model_validator(mode="after")
    def _ordered(self) -> Limits:
        for accept, reject in ((self.accept, self.reject), (self.accept_output, self.reject_output)):
            if accept > reject:
                raise ValueError(f"accept {accept:g} lies above reject {reject:g}")
        return self


def read_limits(file: Path) -> tuple[Limits, ...]:
    """The `limits` of one calibration file. Raises BadInput naming file and field."""
    try:
        found = json.loads(file.read_bytes())
        return tuple(Limits.model_validate(one) for one in found["limits"])
    except ValidationError as error:
        raise BadInput(f"{file}: {explain(error)}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file}: not a calibration file ({error!r}); `kilnet calibrate` writes one") from error


@lru_cache(maxsize=64)
def _read(file: Path, _changed: int) -> tuple[Limits, ...]:
    return read_limits(file)


def limits_for(worker_class: str, auditor_class: str, kind: str, *, folder: Path | None = None) -> Limits | None:
    """The limits of a pair of classes (either way round) for `render` or `infer`; None where it was never calibrated.

    The operator's own `folder` goes before what is shipped. Raises BadInput for a file that is not a calibration."""
    pair = {worker_class, auditor_class}
    for place in (folder, SHIPPED):
        if place is None or not place.is_dir():
            continue
        for file in sorted(place.glob("*.json")):
            if file.name == ADVERSARIES:
                continue
            for limits in _read(file, file.stat().st_mtime_ns):
                if limits.kind == kind and {limits.worker_class, limits.auditor_class} == pair:
                    return limits
    return None
