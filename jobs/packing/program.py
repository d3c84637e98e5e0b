"""Starting the tracer in a Blender of its own: the bpy wheel of this environment, or a Blender executable."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobs.errors import BadInput, Unavailable

__all__ = ["BLENDER_VARIABLE", "run_tracer"]

BLENDER_VARIABLE = "KILNET_BLENDER"
"""Names a Blender executable (5.1 or newer) that reads scenes where there is no bpy wheel."""

_TRACER = Path(__file__).with_name("tracer.py")
_TAIL = 2000


def _command(request: str) -> list[str]:
    named = os.environ.get(BLENDER_VARIABLE)
    tracer = importlib.util.find_spec("blender_asset_tracer")
    if tracer is None or tracer.origin is None:
        raise Unavailable(
            "packing a scene needs the Blender Asset Tracer, which needs Python 3.13: "
            "run kilnet with Python 3.13, then `pip install blender-asset-tracer`"
        )
    if not named and importlib.util.find_spec("bpy") is not None:
        return [sys.executable, "-I", str(_TRACER), request]
    blender = shutil.which(named or "blender")
    if blender is None:
        raise Unavailable(
            "packing a scene needs Blender 5.1 or newer: `pip install 'kilnet[blender]'`, "
            f"or name one in {BLENDER_VARIABLE}"
        )
    folder = str(Path(tracer.origin).parent.parent)
    return [
        blender, "-q", "-b", "--factory-startup", "-Y", "--python-exit-code", "47",
        "--python-expr", f"import site; site.addsitedir({folder!r})", "-P", str(_TRACER), "--", request,
    ]  # fmt: skip


def run_tracer(blend: Path, *, staging: Path, timeout: float) -> dict[str, Any]:
    """What the tracer says of `blend` (tracer.py documents the answer); rewritten files lie in `staging`.

    Raises BadInput where Blender cannot open the file or is not done within `timeout` seconds, Unavailable where there
    is no Blender. The child and all that it started have ended when this returns.
    """
    answer = staging / "answer.json"
    request = staging / "request.json"
    request.write_text(json.dumps({"blend": str(blend), "staging": str(staging), "answer": str(answer)}))
    # Caches and temporary folders that Blender leaves when it is killed go with the staging folder.
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(staging / "cache"),
        "TMPDIR": str(staging),
        "PYTHONWARNINGS": "ignore",
    }
    with (staging / "log.txt").open("w+b") as log:
        child = subprocess.Popen(
            _command(str(request)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BadInput(
                f"{blend}: Blender did not read the scene within {timeout:.0f} s; open it in Blender and save it again"
            ) from None
        finally:
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    try:
        found: dict[str, Any] = json.loads(answer.read_text())
    except (OSError, ValueError):
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise BadInput(f"{blend}: Blender crashed while it read the scene ({ended}){_last_line(staging)}") from None
    if "error" in found:
        raise BadInput(f"{blend}: Blender cannot open the scene: {found['error']}")
    return found


def _last_line(staging: Path) -> str:
    lines = (staging / "log.txt").read_bytes()[-_TAIL:].decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip()[:200]}" if lines else ""
