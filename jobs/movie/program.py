"""Starting the encoder in a Blender of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jobs.errors import BadInput, KilnetError, Unavailable
from jobs.packing.program import BLENDER_VARIABLE

__all__ = ["make_movie"]

_ENCODER = Path(__file__).with_name("encode.py")
_SECONDS_PER_FRAME = 30.0
_START_SECONDS = 120.0


def make_movie(frames: Sequence[Path], video: Path, *, fps: float) -> None:
    """`frames` (pictures of one size, in order, in one folder) as an MP4 (H.264) of `fps` frames a second. The file is
    there only when it is whole.

    Raises BadInput for fewer than two frames or no frame rate, Unavailable where there is no Blender, KilnetError where
    it could not write the video."""
    if len(frames) < 2:
        raise BadInput(f"a video needs two frames or more; there is {len(frames)}", code="too_few_frames")
    if not 0 < fps <= 1000:
        raise BadInput(f"{fps:g} frames a second cannot be played; set the scene's frame rate", code="frame_rate")
    with tempfile.TemporaryDirectory(prefix="kilnet-movie-", dir=video.parent) as folder:
        request, made = Path(folder) / "request.json", Path(folder) / "video.mp4"
        absolute = [str(frame.absolute()) for frame in frames]
        request.write_text(json.dumps({"frames": absolute, "fps": fps, "video": str(made.absolute())}))
        limit = _START_SECONDS + _SECONDS_PER_FRAME * len(frames)
        try:
            done = subprocess.run(
                _command(str(request)), capture_output=True, text=True, errors="replace", timeout=limit,
                stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise KilnetError(
                f"the video of {len(frames)} frames was not done within {limit:.0f} s; take fewer frames at a time"
            ) from None
        if not made.is_file() or not made.stat().st_size:
            last = (done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["no reason given"])[-1]
            raise KilnetError(f"Blender could not write the video ({last[:200]}); use the frames, which are all there")
        made.replace(video)


def _command(request: str) -> list[str]:
    named = os.environ.get(BLENDER_VARIABLE)
    if not named and importlib.util.find_spec("bpy") is not None:
        return [sys.executable, "-I", str(_ENCODER), request]
    blender = shutil.which(named or "blender")
    if blender is None:
        raise Unavailable(
            "a video needs a Blender on this machine: `pip install 'kilnet[blender]'`, "
            f"or name one in {BLENDER_VARIABLE}; the frames are all there"
        )
    return [blender, "-q", "-b", "--factory-startup", "-Y", "-P", str(_ENCODER), "--", request]
