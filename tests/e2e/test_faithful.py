"""What is delivered is what plain Blender would have given: tile by tile to the bit, merged and finished as said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SAMPLES, Kilnet, delivered, resaved
from tests.support.pictures import channels, differing_bits, largest_step, worst_relative

pytestmark = [pytest.mark.stack, pytest.mark.blender]
Plain = Callable[..., dict[str, Any]]


ADAPTIVE = {"cycles.use_adaptive_sampling": True, "cycles.adaptive_threshold": 0.05}


def honest(answer: dict[str, Any]) -> None:
    """The books of a job that went well: no refusal, all tiles audited, all that was burned is accounted for."""
    assert answer["state"] == "done"
    assert answer["rejections"] == []
    assert answer["tiles"] >= 1 and answer["cells_audited"] >= answer["tiles"]
    assert answer["settlement_tx"] and int(answer["burned"]) > 0
    for output in answer["outputs"]:
        assert Path(output["path"]).is_file()


# What is slow here is held by tests/runners/test_blender_bits.py too, on blocks and tiles of one runner.
@pytest.mark.parametrize(
    "scene",
    ["still", "passes", *(pytest.param(name, marks=pytest.mark.slow) for name in ("volume", "adaptive"))],
)
def test_tiles_in_space_are_bit_identical(kilnet: Kilnet, plain: Plain, tmp_path: Path, scene: str) -> None:
    """Split in space over three nodes, every pass of the linear EXR has the bits of a plain render; with adaptive
    sampling and volumes thanks to their guard bands."""
    blend = SAMPLES / f"{scene}.blend"
    if scene == "adaptive":
        blend = resaved(SAMPLES / "still.blend", tmp_path / "adaptive.blend", ADAPTIVE)
    size = {"still": (160, 96), "passes": (128, 72), "volume": (48, 32), "adaptive": (128, 72)}[scene]
    answer = kilnet.json(
        "render", blend, "--resolution", f"{size[0]}x{size[1]}", "--samples", "8", "--sample-ranges", "1",
        "--tiles", "4", "--no-denoise", "--out", tmp_path / "ours",
    )  # fmt: skip
    honest(answer)
    assert answer["tiles"] >= 4
    plain(blend, tmp_path / "plain", resolution=size, samples=8, denoise=False, final=False, frames=None)
    (ours,) = delivered(answer, "exr")
    (theirs,) = (tmp_path / "plain").glob("*.exr")
    assert differing_bits(channels(ours), channels(theirs)) == {}


def test_sample_ranges_and_denoising_stay_within_a_ten_thousandth(kilnet: Kilnet, plain: Plain, tmp_path: Path) -> None:
    """Tiles x sample ranges merge to |a-b| <= 1e-4 x max(1, |value|) in every pass, and the finished picture,
    denoised as the scene says, is the plain one to a step or two of 255."""
    blend = SAMPLES / "still.blend"
    answer = kilnet.json(
        "render", blend, "--resolution", "160x96", "--samples", "32", "--sample-ranges", "2", "--tiles", "4",
        "--out", tmp_path / "ours",
    )  # fmt: skip
    honest(answer)
    assert answer["tiles"] >= 8
    plain(blend, tmp_path / "plain", resolution=(160, 96), samples=32)
    (ours,) = delivered(answer, "exr")
    (theirs,) = (tmp_path / "plain").glob("*.exr")
    assert worst_relative(channels(ours), channels(theirs)) <= 1e-4
    (picture,) = delivered(answer, "image")
    (wanted,) = (tmp_path / "plain").glob("*-final.png")
    assert largest_step(picture, wanted) <= 1


def test_compositor_nodes_give_the_plain_png(kilnet: Kilnet, plain: Plain, tmp_path: Path) -> None:
    """A scene with compositor nodes: the delivered PNG is within 1/255 of plain Blender's."""
    blend = SAMPLES / "compositor.blend"
    answer = kilnet.json(
        "render", blend, "--resolution", "128x72", "--samples", "16", "--tiles", "4", "--out", tmp_path / "ours"
    )
    honest(answer)
    plain(blend, tmp_path / "plain", resolution=(128, 72), samples=16, linear=False)
    (picture,) = delivered(answer, "image")
    (wanted,) = (tmp_path / "plain").glob("*-final.png")
    assert largest_step(picture, wanted) <= 1


def test_frames_in_any_order_are_those_rendered_alone(kilnet: Kilnet, plain: Plain, tmp_path: Path) -> None:
    """Frames of an animation, rendered by runners that keep their scene and had other frames before, have the bits
    of each frame rendered alone."""
    blend = SAMPLES / "animation.blend"
    answer = kilnet.json(
        "render", blend, "--frames", "1-6", "--resolution", "96x54", "--samples", "8", "--no-denoise",
        "--out", tmp_path / "ours",
    )  # fmt: skip
    honest(answer)
    plain(blend, tmp_path / "plain", frames=list(range(1, 7)), resolution=(96, 54), samples=8, denoise=False,
          final=False)  # fmt: skip
    ours = delivered(answer, "exr")
    assert len(ours) == 6
    for path in ours:
        frame = int("".join(c for c in path.stem if c.isdigit()))
        assert differing_bits(channels(path), channels(tmp_path / "plain" / f"{frame}.exr")) == {}
