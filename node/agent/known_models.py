"""What a trusted worker has measured about models, so that the next batch of a model is quoted at once."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobs.manifest import Asset
from jobs.spec import InferSpec

__all__ = ["KnownModels", "model_key"]

_KEPT = 256
_MOST_BYTES = 1 << 20


def model_key(assets: Sequence[Asset], spec: InferSpec, *, numerics_class: str, threads: int) -> str:
    """Of everything that what is measured depends on: the model's own files (`assets`, without inputs), what the spec
    asks of it, and the machine. The shapes of the inputs are not known yet: whoever uses what is kept compares them."""
    files = sorted((asset.path, asset.sha256) for asset in assets)
    asked = [spec.tap, list(spec.outputs), numerics_class, threads]
    return hashlib.sha256(json.dumps([files, asked]).encode()).hexdigest()


class KnownModels:
    """JSON objects by key in a folder; the ones used last are kept. A file that cannot be read is as good as none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """What was kept, or None. Raises nothing."""
        path = self._folder / f"{key}.json"
        try:
            found = json.loads(path.read_text("utf-8"))
            os.utime(path)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep `value`; where the disk does not let it, the model is measured again next time."""
        text = json.dumps(value)
        if len(text) > _MOST_BYTES:
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=self._folder, prefix=".")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(aside).replace(self._folder / f"{key}.json")
            files = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for old in files[:-_KEPT]:
                old.unlink()
