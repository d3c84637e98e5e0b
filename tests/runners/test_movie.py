"""A video of frames: every one once, in order, in its colours, at the scene's rate."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.errors import BadInput
from jobs.movie import make_movie

_READ = """
import json, sys
import bpy
clip = bpy.data.movieclips.load(sys.argv[1])
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
clip = bpy.data.movieclips.load(sys.argv[1])
scene.sequence_editor_create().strips.new_movie(name="v", filepath=sys.argv[1], channel=1, frame_start=1)
scene.render.resolution_x, scene.render.resolution_y = clip.size
scene.render.resolution_percentage = 100
scene.view_settings.view_transform = "Standard"
scene.render.image_settings.file_format = "PNG"
for frame in range(1, clip.frame_duration + 1):
    scene.frame_set(frame)
    scene.render.filepath = f"{sys.argv[2]}/back_{frame:04d}.png"
    bpy.ops.render.render(write_still=True)
print(json.dumps([list(clip.size), clip.frame_duration, clip.fps]))
"""


@pytest.mark.blender
def test_frames_come_back_out_of_the_video(tmp_path: Path) -> None:
    """Five frames of odd size with other colours each: the video has them all, at 12.5 a second, less an odd row."""
    frames, colours = [], [(200, 40, 30), (40, 180, 60), (30, 60, 200), (220, 200, 40), (120, 120, 120)]
    for number, colour in enumerate(colours, 1):
        frames.append(tmp_path / f"frame_{number:04d}.png")
        Image.new("RGB", (97, 65), colour).save(frames[-1])
    video = tmp_path / "video.mp4"
    make_movie(frames, video, fps=12.5)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _READ, video, tmp_path], capture_output=True, text=True
    )
    size, count, fps = json.loads(done.stdout.splitlines()[-1])
    assert (size, count) == ([96, 64], 5) and fps == pytest.approx(12.5, rel=1e-3)
    for number, colour in enumerate(colours, 1):
        back = np.asarray(Image.open(tmp_path / f"back_{number:04d}.png").convert("RGB"), np.float32)
        assert np.abs(back.mean(axis=(0, 1)) - colour).max() < 6, (number, back.mean(axis=(0, 1)), colour)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".mp4") == ["video.mp4"]


def test_what_cannot_be_a_video_is_told(tmp_path: Path) -> None:
    """One frame, or no rate; and nothing is left behind."""
    with pytest.raises(BadInput, match="two frames or more"):
        make_movie([tmp_path / "frame_0001.png"], tmp_path / "video.mp4", fps=24)
    with pytest.raises(BadInput, match="frame rate"):
        make_movie([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "video.mp4", fps=0)
    assert list(tmp_path.iterdir()) == []
