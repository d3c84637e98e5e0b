"""Which devices the workers of a local stack can be given."""

from __future__ import annotations

import json
import subprocess
import sys

from jobs.errors import BadInput, Unavailable

__all__ = ["check_device"]

# Asked in a process of its own: the coordinator imports nothing of the node.
_PROGRAM = "import json, node.hardware as h; print(json.dumps(h.device_ids(h.probe(), every=True)))"
_SECONDS = 60.0


def _devices_here() -> list[str]:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except subprocess.SubprocessError as error:
        raise Unavailable(f"the GPUs of this machine cannot be listed ({error}); `kilnet doctor` says more") from error
    found: list[str] = json.loads(done.stdout)
    return found


def check_device(device: str) -> str:
    """The device as workers are told it: `CPU` or `KIND:INDEX`. Raises BadInput where this machine has none such."""
    device = device.strip().upper()
    if device == "CPU":
        return device
    there, named = _devices_here(), device if ":" in device else f"{device}:0"
    if named not in there:
        raise BadInput(f"device {device}: this machine has {', '.join(there)}; `kilnet doctor` says more")
    return named
