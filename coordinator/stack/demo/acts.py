"""The three jobs of the demonstration, each sent as `kilnet render` and `kilnet infer` send theirs."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.flow import accept, deliver, follow, quoted
from coordinator.cli.intake import Common, infer_submission, render_spec, render_submission
from jobs.client import Client, Delivered
from jobs.client.outcome import check_ended
from jobs.errors import Unavailable
from jobs.wire import JobView

if TYPE_CHECKING:
    from coordinator.cli.display import Display
    from jobs.submission import Submission

__all__ = ["ITEMS", "Act", "Batch", "animation", "batch", "make_batch", "read_batch", "still"]

ITEMS = 240
FRAMES = "1-4"
_SCENES = Path("samples/scenes")


@dataclass(frozen=True)
class Act:
    """A job that has ended, and what it delivered."""

    title: str
    job: JobView
    delivered: tuple[Delivered, ...]


@dataclass(frozen=True)
class Batch:
    """The sample model, its inputs, and what each of them says."""

    model: Path
    inputs: Path
    labels: tuple[str, ...]


def _root() -> Path:
    import samples

    return Path(samples.__path__[0]).parent


def make_batch(folder: Path) -> subprocess.Popen[bytes]:
    """Begins to draw the batch, as a program apart: it takes a while, and the stack is starting meanwhile."""
    command = [sys.executable, "-m", "samples.models.build", str(folder), "--items", str(ITEMS)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def read_batch(folder: Path, program: subprocess.Popen[bytes]) -> Batch:
    """What `make_batch` has made. Raises Unavailable where it could not."""
    _, said = program.communicate()
    if program.returncode != 0:
        lines = said.decode(errors="replace").strip().splitlines()
        raise Unavailable(f"the sample batch could not be made: {lines[-1] if lines else 'no reason given'}")
    labels = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    return Batch(folder / "model.onnx", folder / "lines.npz", tuple(labels))


def still(client: Client, out: Path, display: Display) -> Act:
    """One picture in tiles and sample ranges, denoised after it is put together, as its artist set it."""
    scene = _root() / _SCENES / "still.blend"
    spec = render_spec(scene, Common(name="still"), {"tiles": 6, "sample_ranges": 2})
    return _run("still", client, render_submission(scene, spec, display), out, display, spec.deadline_s)


def animation(client: Client, out: Path, display: Display) -> Act:
    """A few frames, each a tile, rendered in whatever order by whoever is free."""
    scene = _root() / _SCENES / "animation.blend"
    spec = render_spec(scene, Common(name="animation"), {"frames": FRAMES, "tiles": 1})
    return _run("animation", client, render_submission(scene, spec, display), out, display, spec.deadline_s)


def batch(made: Batch, client: Client, out: Path, display: Display) -> Act:
    """Lines of text through a network that reads them."""
    submission = infer_submission(
        made.model, made.inputs, Common(name="batch"), tap=None, resize=False, display=display
    )
    return _run("batch", client, submission, out, display, 3600)


def _run(
    title: str,
    client: Client,
    submission: AbstractContextManager[Submission],
    out: Path,
    display: Display,
    deadline_s: int,
) -> Act:
    with submission as ready, quoted(client, ready, display) as job:
        assert job.quote is not None
        quote = job.quote
        display.note(
            f"quote: {quote.price_usd} USD, never more than {quote.cap_usd}; {quote.tiles} tiles, {quote.cells} cells, "
            f"{quote.probes_per_tile} redone in each tile ({quote.lane})"
        )
        job = accept(client, job, deadline_s=deadline_s, ask=None)
    job = follow(client, job.id, display)
    check_ended(job)
    return Act(title, job, tuple(deliver(client, job, out, display)))
