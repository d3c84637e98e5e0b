"""Entry point for `python node/runners/onnx`.

Started like this the folder is no package and its modules have everyday names, so it is loaded as a package under a
name of its own. `jobs.model_check`, the only thing of ours that it needs, is found on PYTHONPATH or beside `node`.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "kilnet_onnx_runner"


def _load() -> None:
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != folder]
    if importlib.util.find_spec("jobs") is None:
        sys.path.append(str(folder.parents[2]))
    spec = importlib.util.spec_from_file_location(
        NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    _load()
    importlib.import_module(f"{NAME}.wire").take_stdout()
    importlib.import_module(f"{NAME}.main").run()
