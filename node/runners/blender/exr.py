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
    """`{"ViewLayer.Pass.Component": (H, W) float32}`, row 0 at the top; with views `ViewLayer.Pass.view.Component`.

    Blender writes whole names into every part of a multi-part file, but a part's view only into its header.
    """
    return _with_openexr(path) if OpenEXR is not None else _with_oiio(path)


def _with_openexr(path: Path) -> Planes:
    planes: Planes = {}
    with OpenEXR.File(str(path), separate_channels=True) as f:
        for part in f.parts:
            view = str(part.header.get("view") or "")
            for name, channel in part.channels.items():
                planes[_with_view(name, view)] = np.asarray(channel.pixels, np.float32)
    return planes


def _with_view(name: str, view: str) -> str:
    head, _, component = name.rpartition(".")
    return ".".join(part for part in (head, view, component) if part)


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
            view = str(spec.getattribute("view") or "")
            planes[_with_view(name, view)] = np.ascontiguousarray(pixels[..., i], np.float32)
        part += 1
    source.close()
    return planes


def write_channels(path: Path, planes: Planes) -> None:
    """Write float32 planes (H, W), row 0 at the top, as one ZIP-compressed EXR with the channels' full names."""
    if OpenEXR is not None:
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        with OpenEXR.File(header, {k: np.ascontiguousarray(v, np.float32) for k, v in planes.items()}) as f:
            f.write(str(path))
        return
    import OpenImageIO as oiio  # noqa: N813

    names = sorted(planes)
    height, width = planes[names[0]].shape
    spec = oiio.ImageSpec(width, height, len(names), oiio.FLOAT)
    spec.channelnames = tuple(names)
    spec["compression"] = "zip"
    target = oiio.ImageOutput.create(str(path))
    if target is None or not target.open(str(path), spec):
        raise RunnerError("assemble_failed", f"{path.name} cannot be written: {oiio.geterror()}")
    target.write_image(np.ascontiguousarray(np.stack([planes[n] for n in names], -1), np.float32))
    target.close()


def text_headers(path: Path, prefix: str) -> dict[str, str]:
    """The header fields of every part whose name begins with `prefix`."""
    found: dict[str, str] = {}
    if OpenEXR is not None:
        with OpenEXR.File(str(path), header_only=True) as f:
            for part in f.parts:
                found |= {k: str(v) for k, v in part.header.items() if k.startswith(prefix)}
        return found
    import OpenImageIO as oiio  # noqa: N813

    source = oiio.ImageInput.open(str(path))
    if source is not None:
        found = {a.name: str(a.value) for a in source.spec().extra_attribs if a.name.startswith(prefix)}
        source.close()
    return found
