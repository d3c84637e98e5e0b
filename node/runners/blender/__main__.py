# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry point for `python FOLDER` and `blender --python FOLDER/__main__.py`.

Neither way of starting makes this folder a package, and its modules have everyday names (`render`, `bake`), so it is
loaded here as a package under a name of its own instead of being put on `sys.path`.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "kilnet_blender_runner"


def _load() -> None:
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    _load()
    # The protocol takes stdout away from everybody else, so it comes before anything imports bpy.
    importlib.import_module(f"{NAME}.protocol").take_stdout()
    importlib.import_module(f"{NAME}.main").run()
