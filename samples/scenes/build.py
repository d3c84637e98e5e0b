# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the sample scenes: `python samples/scenes/build.py [NAME ...]`, all of them without a name."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

NAMES = ("still", "animation", "passes", "volume", "compositor")


def main(names: list[str]) -> None:
    from samples.scenes import common

    for name in names or NAMES:
        importlib.import_module(f"samples.scenes.{name}").build()
        path = common.save(name)
        sys.stderr.write(f"{path.name}: {path.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)
