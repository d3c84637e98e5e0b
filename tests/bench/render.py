"""One node with all cores, through the whole pipeline, against plain bpy on the same scene."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.compute import Meter
from tests.bench.program import kilnet_json
from verification.policy import GOOD, MOST_CREDIT

__all__ = ["measure_render"]

SUPPORT = Path(__file__).parents[1] / "support"
SIZE = (480, 270)


def plain_seconds(blend: Path, out: Path, samples: int) -> float:
    """Wall time of a process that opens the scene with bpy, renders it as it is set, and writes the picture."""
    options = {"frames": [1], "samples": samples, "resolution": SIZE, "linear": False}
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, str(SUPPORT / "plain_blender.py"), str(blend), str(out), json.dumps(options)],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - start


def plain_of_length(blend: Path, out: Path, seconds: float) -> tuple[int, float]:
    """Samples with which plain Blender takes at least `seconds`, and what it took: longer renders until one does."""
    samples = 16
    while (took := plain_seconds(blend, out, samples)) < seconds:
        samples = max(samples + 1, round(samples * min(8.0, 1.1 * seconds / took)))
    return samples, took


def measure_render(blend: Path, folder: Path, data: Path, *, seconds: float) -> dict[str, Any]:
    """Plain, kilnet, plain, kilnet, plain: the machine drifts by a tenth within minutes, so each of kilnet's stands
    between two plain renders, and the ratio is that of the sums. Before the second a few small jobs: then the node is
    in good standing, and audits cost what they cost from then on. `data` is the folder of the stack. What tiles and
    audits compute is their runners' CPU time."""
    samples, before = plain_of_length(blend, folder / "plain-1", seconds)
    size = f"{SIZE[0]}x{SIZE[1]}"
    asked = ("render", blend, "--resolution", size, "--samples", samples, "--out")
    with Meter(data) as meter:
        start = time.perf_counter()
        answer = kilnet_json(*asked, folder / "ours")
        ours = [time.perf_counter() - start]
        between = plain_seconds(blend, folder / "plain-2", samples)
        for number in range(math.ceil(-GOOD / MOST_CREDIT)):
            kilnet_json("render", blend, "--resolution", size, "--samples", 1, "--out", folder / f"small-{number}")
        start = time.perf_counter()
        good = kilnet_json(*asked, folder / "again")
        ours.append(time.perf_counter() - start)
    after = plain_seconds(blend, folder / "plain-3", samples)
    (tiles, audits), (good_tiles, good_audits) = meter.shares(answer["job"]), meter.shares(good["job"])
    return {
        "samples": samples,
        "plain_seconds": [before, between, after],
        "kilnet_seconds": ours,
        "wall_ratio": sum(ours) / (before / 2 + between + after / 2),
        "tiles": answer["tiles"],
        "cells_audited": answer["cells_audited"],
        "compute_seconds": answer["compute_seconds"],
        "audit_seconds": answer["audit_seconds"],
        "tiles_cpu_seconds": [tiles, good_tiles],
        "audits_cpu_seconds": [audits, good_audits],
        "audit_share": audits / tiles,
        "good_audit_share": good_audits / good_tiles,
        "audit_share_by_clock": answer["audit_seconds"] / answer["compute_seconds"],
        "good_audit_share_by_clock": good["audit_seconds"] / good["compute_seconds"],
        "good_cells_audited": good["cells_audited"],
    }
