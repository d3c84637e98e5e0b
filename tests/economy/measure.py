"""`python -m tests.economy.measure SCENE.blend ...`: what a renderer can save by cheating in a part of the picture.

Writes verification/economy_data/render.json, from which verification.strategies takes two kinds of figures, by scene:
how much of the work the dearest cells hold (a node that fakes these alone is hardest to find by drawing cells
uniformly), and what cheats that touch a part of the cells save and touch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "verification" / "economy_data" / "render.json"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
COMMAND = "python -m tests.economy.measure samples/scenes/*.blend and the folder of real scenes"


def curve(seconds: list[float]) -> dict[str, float]:
    """Share of the work that the dearest cells hold, by their share of the cells (as near SHARES as cells allow)."""
    ordered = sorted(seconds, reverse=True)
    counts = [max(1, round(share * len(ordered))) for share in SHARES]
    return {f"{n / len(ordered):.4f}": round(sum(ordered[:n]) / sum(ordered), 4) for n in counts}


def run(program: str, scene: Path, timeout: float) -> dict[str, Any] | None:
    """The program's answer, or None where the scene takes too long or cannot be rendered."""
    try:
        command = [sys.executable, str(HERE / program), str(scene.resolve())]
        done = subprocess.run(command, capture_output=True, timeout=timeout)
        answer: dict[str, Any] = json.loads(done.stdout.decode().strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return None
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.economy.measure", description=__doc__)
    parser.add_argument("scenes", nargs="+", type=Path)
    parser.add_argument("--timeout", type=float, default=3600, help="seconds after which a scene is left out")
    parser.add_argument("--only", choices=("cells", "cheats"), help="measure one kind alone; the other is kept")
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {"scenes": {}}
    found |= {"command": COMMAND, "width": 256}
    for scene in options.scenes:
        name = f"{scene.parent.name}/{scene.name}"
        row: dict[str, Any] = {}
        if options.only != "cheats" and (cells := run("cost_by_cell.py", scene, options.timeout)) is not None:
            seconds = cells["seconds"]
            row |= {"cells": len(seconds), "seconds": round(sum(seconds), 3), "dearest": curve(seconds)}
        if options.only != "cells" and (cheats := run("cheat_in_blender.py", scene, options.timeout)) is not None:
            row |= {"repeat_differs": cheats["repeat_differs"], "cheats": cheats["cheats"]}
        print(name, json.dumps(row), flush=True)
        if row:
            found["scenes"].setdefault(name, {"dearest": {}, "cheats": {}}).update(row)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
