# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading Blender's multilayer EXR: every channel by its full name, as float32 planes.

OpenEXR where it is installed, else OpenImageIO, which Blender executables bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .errors import RunnerError

try:
    import OpenEXR
except ImportError:
    OpenEXR = None

Planes = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def read_channels(path: Path) -> Planes:
    """`{"ViewLayer.Pass.Component": (H, W) float32}`, row 0 at the top.

    Blender writes whole names into every part of a multi-part file, so the parts are simply put together.
    """
    return _with_openexr(path) if OpenEXR is not None else _with_oiio(path)


def _with_openexr(path: Path) -> Planes:
    planes: Planes = {}
    with OpenEXR.File(str(path), separate_channels=True) as f:
        for part in f.parts:
            for name, channel in part.channels.items():
                planes[name] = np.asarray(channel.pixels, np.float32)
    return planes


def _with_oiio(path: Path) -> Planes:
    try:
        import OpenImageIO as oiio  # noqa: N813
    except ImportError:
        raise RunnerError(
            "no_exr_reader", "This Python has neither OpenEXR nor OpenImageIO: pip install OpenEXR."
        ) from None
    planes: Planes = {}
    source = oiio.ImageInput.open(str(path))
    if source is None:
        raise RunnerError("render_failed", f"{path.name} cannot be read: {oiio.geterror()}")
    part = 0
    while source.seek_subimage(part, 0):
        spec = source.spec()
        pixels = source.read_image(part, 0, 0, spec.nchannels, oiio.FLOAT)
        for i, name in enumerate(spec.channelnames):
            planes[name] = np.ascontiguousarray(pixels[..., i], np.float32)
        part += 1
    source.close()
    return planes
