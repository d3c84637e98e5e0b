# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`raster`: what decides the bits of EEVEE and Workbench here, which is the graphics driver and not Cycles' kernels.

A shader draws functions whose last bits are each driver's own (sin, exp, pow, derivatives, interpolation) into a float
picture; its SHA-256 and the driver's names tell one driver from another within half a second.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from . import graphics
from .errors import RunnerError
from .session import Session

SIDE = 64

_VERTEX = "void main() { uv = pos * 0.5 + 0.5; gl_Position = vec4(pos, 0.0, 1.0); }"
_FRAGMENT = """
void main() {
  float s = 0.0;
  for (int i = 1; i < 64; i++) {
    float f = float(i);
    s += sin(uv.x * f * 3.7) * exp(-uv.y * f * 0.1) / sqrt(f + uv.x);
  }
  float p = pow(uv.x + 0.1, uv.y * 3.0 + 0.5);
  color = vec4(s, p, atan(uv.y, uv.x + 0.01), log(uv.x + uv.y + 0.1) + inversesqrt(uv.x + 0.2) + dFdx(s));
}
"""


def raster(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """`{}` -> `renderer`, `vendor`, `version`, `backend`, `software` and `digest` (SHA-256 of the drawn floats).

    Raises RunnerError `no_raster` where no graphics driver can be used.
    """
    del session, request
    try:
        gpu = graphics.ready()
        platform = gpu.platform
        return {
            "renderer": str(platform.renderer_get()),
            "vendor": str(platform.vendor_get()),
            "version": str(platform.version_get()),
            "backend": str(platform.backend_type_get()),
            "software": platform.device_type_get() == "SOFTWARE",
            "digest": hashlib.sha256(_draw(gpu).tobytes()).hexdigest(),
        }
    except (ImportError, SystemError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RunnerError("no_raster", f"EEVEE and Workbench need a graphics driver (EGL): {reason}.") from None


def _draw(gpu: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(SIDE, SIDE, 4) float32."""
    from gpu_extras.batch import batch_for_shader  # type: ignore[import-not-found]

    interface = gpu.types.GPUStageInterfaceInfo("kilnet_canary")
    interface.smooth("VEC2", "uv")
    info = gpu.types.GPUShaderCreateInfo()
    info.vertex_in(0, "VEC2", "pos")
    info.vertex_out(interface)
    info.fragment_out(0, "VEC4", "color")
    info.vertex_source(_VERTEX)
    info.fragment_source(_FRAGMENT)
    shader = gpu.shader.create_from_info(info)
    corners = [(-1, -1), (1, -1), (1, 1), (-1, -1), (1, 1), (-1, 1)]
    batch = batch_for_shader(shader, "TRIS", {"pos": corners})
    target = gpu.types.GPUOffScreen(SIDE, SIDE, format="RGBA32F")
    try:
        with target.bind():
            shader.bind()
            batch.draw(shader)
            buffer = gpu.state.active_framebuffer_get().read_color(0, 0, SIDE, SIDE, 4, 0, "FLOAT")
        return np.array(buffer.to_list(), "<f4")
    finally:
        target.free()
