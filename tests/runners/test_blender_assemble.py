"""What comes out of merged tiles is what plain Blender would have written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from tests.runners.blender_support import SAMPLES, Runner, plain, plain_float, started
from tests.support.pictures import channels as read_channels
from tests.support.pictures import largest_step

pytestmark = pytest.mark.blender

SIZE, SAMPLE_COUNT = [96, 54], 8


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    yield from started(tmp_path_factory.mktemp("scratch"))


def _assembled(runner: Runner, blend: Path, out: str, frame: int = 1, **fields: Any) -> tuple[Path, list[Any]]:
    contract = runner.contract(blend, resolution=SIZE, samples=SAMPLE_COUNT)
    runner.tile(blend, contract, frame)
    merged = runner.scratch / "tile"
    result = runner("assemble", blend=blend, contract=contract, frame=frame, merged=merged, out_dir=out, **fields)
    return Path(result["out_dir"]), result["files"]


def _one(files: list[Any], kind: str) -> str:
    (path,) = [f["path"] for f in files if f["kind"] == kind]
    return str(path)


def test_the_delivered_picture_is_blenders_own(runner: Runner, tmp_path: Path) -> None:
    """Denoised, composited (glare, lens distortion), AgX, dithered: within 1/255, and File Output nodes are kept in."""
    blend = SAMPLES / "compositor.blend"
    plain(blend, tmp_path, frames=[1], samples=SAMPLE_COUNT, resolution=SIZE, linear=False)
    out, files = _assembled(runner, blend, "composited")
    assert largest_step(out / _one(files, "frame"), tmp_path / "1-final.png") <= 1
    assert _one(files, "file_output").startswith("file_outputs/Mist/mist")
    linear = read_channels(out / _one(files, "linear"))
    assert {"ViewLayer.Combined.R", "ViewLayer.Mist.Z", "ViewLayer.Denoising Normal.X"} <= linear.keys()


def test_denoising_after_the_merge_is_cycles_own(runner: Runner, tmp_path: Path) -> None:
    """Linear float32 output of the demonstration scene, |a-b| <= 1e-4 x max(1, |v|)."""
    blend = SAMPLES / "still.blend"
    plain_float(blend, tmp_path / "plain.exr", SIZE, SAMPLE_COUNT)
    out, files = _assembled(runner, blend, "denoised", output={"format": "OPEN_EXR", "depth": "32"})
    ours, theirs = read_channels(out / _one(files, "frame")), read_channels(tmp_path / "plain.exr")
    linear = read_channels(out / _one(files, "linear"))
    assert np.abs(linear["ViewLayer.Combined.G"] - theirs["G"]).max() > 0.01, "denoising does nothing here"
    for name in "RGB":
        error = np.abs(ours[name] - theirs[name]) / np.maximum(1, np.abs(theirs[name]))
        assert error.max() <= 1e-4, (name, float(error.max()))


def test_passes_and_their_metadata_reach_a_multilayer_file(runner: Runner) -> None:
    """Two layers, AOVs, light groups; Cryptomatte with the manifest that other programs need."""
    out, files = _assembled(runner, SAMPLES / "passes.blend", "layers", output={"format": "OPEN_EXR_MULTILAYER"})
    path = out / _one(files, "frame")
    written, linear = read_channels(path), read_channels(out / _one(files, "linear"))
    for name in ("All.Place.R", "All.Combined_panel.G", "Front.CryptoObject00.g", "All.Diffuse Direct.B"):
        assert np.array_equal(written[name].view(np.uint32), linear[name].view(np.uint32)), name
    with OpenEXR.File(str(path), header_only=True) as f:
        fields = {key for p in f.parts for key in p.header if str(key).startswith("cryptomatte/")}
    assert any(key.endswith("/manifest") for key in fields)


def test_a_merged_file_of_the_wrong_length_is_refused(runner: Runner) -> None:
    blend = SAMPLES / "compositor.blend"
    contract = runner.contract(blend, resolution=SIZE, samples=SAMPLE_COUNT)
    (runner.scratch / "short").write_bytes(b"1234")
    fields = {"blend": blend, "contract": contract, "frame": 1, "merged": runner.scratch / "short", "out_dir": "x"}
    assert runner.refuses("assemble", **fields)["code"] == "bad_request"
