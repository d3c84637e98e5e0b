"""What does not replay in blocks, through a whole stack with real Blender: quoted, rendered, proven, audited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SAMPLES, Kilnet, delivered, resaved
from tests.e2e.test_faithful import honest
from tests.support.pictures import channels, differing_bits

pytestmark = [pytest.mark.stack, pytest.mark.blender, pytest.mark.slow, pytest.mark.timeout(1500)]
Plain = Callable[..., dict[str, Any]]
PATIENCE = 1200
"""Seconds; a software driver takes half a minute to compile EEVEE's shaders, once in each process."""


def proven_whole(kilnet: Kilnet, blend: Path, out: Path, size: str, samples: int, frames: str) -> dict[str, Any]:
    """Quote, render, look at the job, audit it here; the answer of `kilnet render`."""
    asked = ("--resolution", size, "--samples", str(samples), "--frames", frames, "--no-denoise")
    quote = kilnet.json("quote", blend, *asked, timeout=PATIENCE)["quote"]
    assert quote["lane"] == "whole" and "as a whole and compared to the bit" in quote["proven"]
    answer = kilnet.json("render", blend, *asked, "--out", out, timeout=PATIENCE)
    honest(answer)
    assert answer["lanes"] == {"whole": answer["tiles"]}
    shown = kilnet.run("job", answer["job"])
    assert f"{answer['tiles']} tiles whole" in " ".join(shown.stdout.split())
    audit = kilnet.json("audit", answer["job"], "--tiles", "1", timeout=PATIENCE)
    assert audit["ok"] and audit["lanes"] == {"whole": answer["tiles"]}
    return answer


def test_path_guiding_is_the_plain_render(kilnet: Kilnet, plain: Plain, tmp_path: Path) -> None:
    """Path guiding, whole frames on nodes, redone by the trusted worker to the bit: the bits of plain Blender."""
    blend = resaved(SAMPLES / "still.blend", tmp_path / "guided.blend", {"cycles.use_guiding": True})
    answer = proven_whole(kilnet, blend, tmp_path / "ours", "96x54", 16, "1-2")
    plain(blend, tmp_path / "plain", resolution=(96, 54), samples=16, denoise=False, final=False, frames=[1, 2])
    ours = delivered(answer, "exr")
    assert len(ours) == 2
    for path in ours:
        frame = int("".join(c for c in path.stem if c.isdigit()))
        assert differing_bits(channels(path), channels(tmp_path / "plain" / f"{frame}.exr")) == {}


def test_eevee_is_rendered_proven_and_delivered(kilnet: Kilnet, tmp_path: Path) -> None:
    """EEVEE without a display, inside the sandbox, on nodes and on the auditor: the same bits in another process."""
    blend = resaved(SAMPLES / "still.blend", tmp_path / "eevee.blend", {"render.engine": "BLENDER_EEVEE"})
    answer = proven_whole(kilnet, blend, tmp_path / "ours", "96x54", 4, "1")
    assert len(delivered(answer, "image")) == 1 and len(delivered(answer, "exr")) == 1
