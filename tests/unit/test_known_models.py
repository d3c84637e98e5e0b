"""What a trusted worker keeps about models."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.manifest import Asset
from jobs.spec import InferSpec
from node.agent.known_models import KnownModels, model_key


def _key(**changes: object) -> str:
    given = {"sha256": "a" * 64, "tap": None, "outputs": (), "numerics_class": "c", "threads": 2, **changes}
    assets = [Asset(path="model/m.onnx", sha256=str(given["sha256"]), size=3)]
    spec = InferSpec.model_validate({"items": 3, "shard_items": 3, "tap": given["tap"], "outputs": given["outputs"]})
    return model_key(assets, spec, numerics_class=str(given["numerics_class"]), threads=int(str(given["threads"])))


def test_the_key_says_what_was_measured() -> None:
    """Another model, another tap, other outputs, another class, other threads: each is another measurement."""
    others = [{"sha256": "b" * 64}, {"tap": "t"}, {"outputs": ("o",)}, {"numerics_class": "d"}, {"threads": 3}]
    assert len({_key(), *(_key(**other) for other in others)}) == 1 + len(others)
    assert _key() == _key()


def test_what_was_kept_comes_back_and_a_spoilt_file_is_none(tmp_path: Path) -> None:
    known = KnownModels(tmp_path / "models")
    assert known.get(_key()) is None
    known.put(_key(), {"tap": "t"})
    assert known.get(_key()) == {"tap": "t"}
    for spoilt in ("{", "[1]"):
        (tmp_path / "models" / f"{_key()}.json").write_text(spoilt)
        assert known.get(_key()) is None


def test_the_ones_used_last_are_kept(tmp_path: Path) -> None:
    known = KnownModels(tmp_path)
    for number in range(260):
        known.put(f"{number}", {})
        os.utime(tmp_path / f"{number}.json", (number, number))
        if number == 250:
            known.get("0")
    left = {path.stem for path in tmp_path.glob("*.json")}
    assert len(left) == 256 and "0" in left and "1" not in left
