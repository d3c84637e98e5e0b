"""`kilnet render --video`: the frames, and a video of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import SAMPLES, Kilnet, delivered

pytestmark = [pytest.mark.stack, pytest.mark.blender, pytest.mark.slow]
_LENGTH = "import bpy, sys; print(bpy.data.movieclips.load(sys.argv[1]).frame_duration)"


def test_a_video_lies_beside_the_frames(kilnet: Kilnet, tmp_path: Path) -> None:
    """Three frames and a video of three frames; of a single frame the video is refused last, and the frame is there."""
    options = ("--resolution", "64x48", "--samples", "2", "--output-format", "JPEG", "--video")
    answer = kilnet.json("render", SAMPLES / "animation.blend", "--frames", "1-3", *options, "--out", tmp_path / "a")
    frames, (video,) = delivered(answer, "image"), delivered(answer, "video")
    assert [frame.suffix for frame in frames] == [".jpg"] * 3 and video.name == "video.mp4"
    done = subprocess.run([sys.executable, "-c", _LENGTH, video], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "3"
    alone = kilnet.run("render", SAMPLES / "animation.blend", "--frames", "1", *options, "--out", tmp_path / "b")
    assert alone.returncode == 2 and "two frames or more" in alone.stderr
    assert len(list((tmp_path / "b").glob("*.jpg"))) == 1
