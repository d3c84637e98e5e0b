"""Redoing cells on this machine: `python -m node.hands`, a program of its own that speaks JSON. It renders in the
sandbox, like any node, so the coordinator's code never imports the node's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.contract import InferContract, RenderContract
from jobs.errors import Unavailable
from jobs.manifest import Manifest
from jobs.tiles import InferTile, RenderTile
from verification.commitment import MalformedResult, split_cells

__all__ = ["Redone", "redo"]

_TIMEOUT = 24 * 3600.0


@dataclass(frozen=True)
class Redone:
    """Cells of one tile, computed here."""

    cells: dict[int, bytes]
    numerics_class: str
    seconds: float


def redo(
    contract: RenderContract | InferContract,
    manifest: Manifest,
    folder: Path,
    wanted: Sequence[tuple[RenderTile | InferTile, Sequence[int]]],
    scratch: Path,
    *,
    unsandboxed: bool = False,
) -> list[Redone]:
    """Compute the wanted cells of tiles; `folder` holds the manifest's files. In the order of `wanted`.

    Raises Unavailable where this machine cannot (no Blender, no sandbox), with the remedy.
    """
    request: dict[str, Any] = {
        "folder": str(folder),
        "main": manifest.main,
        "assets": [asset.model_dump(mode="json") for asset in manifest.assets],
        "contract": contract.model_dump(mode="json"),
        "work": [{"tile": tile.model_dump(mode="json"), "cells": list(cells)} for tile, cells in wanted],
        "out": str(scratch),
        "unsandboxed": unsandboxed,
    }
    done = subprocess.run(
        [sys.executable, "-m", "node.hands"],
        input=json.dumps(request).encode(),
        capture_output=True,
        timeout=_TIMEOUT,
        check=False,
    )
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else {}
        results = answer["results"]
        return [
            Redone(
                cells=split_cells(contract, tile, cells, Path(result["file"]).read_bytes()),
                numerics_class=str(answer["numerics_class"]),
                seconds=float(result.get("seconds", 0.0)),
            )
            for (tile, cells), result in zip(wanted, results, strict=True)
        ]
    except (ValueError, KeyError, TypeError, OSError, MalformedResult) as error:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else repr(error)
        raise Unavailable(f"this machine cannot redo the work: {reason}; `kilnet doctor` says what it lacks") from None
