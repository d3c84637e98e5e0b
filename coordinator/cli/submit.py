"""What `render`, `infer` and `quote` do once it is known what to submit."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.answer import answer
from coordinator.cli.connection import Access, connect
from coordinator.cli.endings import Interrupted
from coordinator.cli.flow import accept, deliver, deliver_preview, follow, goes_on, quoted
from coordinator.cli.report import job_report, job_table, quote_report, quote_table
from jobs.client.outcome import check_ended, check_folder, written
from jobs.errors import BadInput, KilnetError
from jobs.outputs import Format
from jobs.states import JobState
from jobs.wire import Info, JobView

if TYPE_CHECKING:
    from coordinator.cli.display import Display
    from jobs.client import Client
    from jobs.client.transfers import Delivered
    from jobs.submission import Submission

__all__ = ["Terms", "quote_only", "submit"]

_NAMED = 4


@dataclass(frozen=True)
class Terms:
    """How a job is to be accepted and delivered."""

    out: Path
    yes: bool
    as_json: bool
    nodes: int
    video: bool = False
    """A video of the frames too."""
    format: Format = Format.NPZ
    """Of predictions."""


@contextmanager
def _shown(display: Display) -> Iterator[None]:
    try:
        yield
    finally:
        display.close()


def submit(submission: AbstractContextManager[Submission], access: Access, terms: Terms, display: Display) -> None:
    """The whole way of a job; prints what came of it. Raises the errors of jobs.errors, Interrupted."""
    from rich.console import Console

    check_folder(terms.out, named="--out ")
    threading.Thread(target=_import_ahead, daemon=True).start()
    with _shown(display), submission as ready, connect(access, nodes=terms.nodes, step=display.step) as client:
        info = client.info()
        asks = not (terms.yes or terms.as_json) and sys.stdin.isatty() and sys.stderr.isatty()
        job = _ordered(client, ready, display, terms, asks=asks)
        job = follow(client, job.id, display, until_review=True)
        if job.state is JobState.REVIEW:
            previewed = deliver_preview(client, job, terms.out, display)
            display.close()
            if not asks:
                _left_for_review(job, info, previewed, as_json=terms.as_json)
                return
            if not _go_on(job, previewed):
                client.reject(job.id)
            else:
                client.approve(job.id)
            job = follow(client, job.id, display)
        delivered = deliver(client, job, terms.out, display)
        delivered += written(delivered, terms.out, ready.names, terms.format)
        trouble = None
        if terms.video and job.state is JobState.DONE:
            trouble = _with_video(job, terms.out, delivered, display)
        display.close()
        if terms.as_json:
            answer(job_report(job, info, delivered=delivered))
        else:
            Console().print(job_table(job, info, [str(one.path) for one in delivered]))
        check_ended(job)
        if trouble is not None:
            raise trouble


def _ordered(client: Client, ready: Submission, display: Display, terms: Terms, *, asks: bool) -> JobView:
    """The job, quoted and accepted. Raises Interrupted for Ctrl-C once it may be ordered."""
    ordered: JobView | None = None
    try:
        with quoted(client, ready, display) as job:
            display.close()
            if not terms.as_json:
                display.show(quote_table(job))
            ordered = accept(client, job, deadline_s=ready.spec.deadline_s, ask=_ask if asks else None)
    except KeyboardInterrupt:
        if ordered is None:
            raise
        raise Interrupted(goes_on(ordered.id)) from None
    return ordered


def _import_ahead() -> None:
    """What is needed after the files are packed, which another process does: a second sooner."""
    import jobs.client  # noqa: F401
    from jobs.typed_data import prepare_to_sign

    prepare_to_sign()


def _with_video(job: JobView, out: Path, delivered: list[Delivered], display: Display) -> KilnetError | None:
    """Add a video of the delivered frames, `video.mp4` beside them; what kept it from being made: the frames are there
    and paid for, so this is told last."""
    import hashlib

    from jobs.client import Delivered
    from jobs.movie import make_movie

    frames = sorted((one.frame or 0, one.path) for one in delivered if one.kind == "image")
    video = out / "video.mp4"
    display.step(f"encoding {len(frames)} frames")
    if not frames:
        return BadInput("--video: the frames came as EXR; take --output-format PNG or JPEG for a video too")
    try:
        make_movie([path for _, path in frames], video, fps=float((job.description or {}).get("fps") or 24))
    except KilnetError as error:
        return error
    sha = hashlib.sha256(video.read_bytes()).hexdigest()
    delivered.append(Delivered(path=video, sha256=sha, kind="video", frame=None))
    return None


def quote_only(
    submission: AbstractContextManager[Submission], access: Access, display: Display, *, as_json: bool, nodes: int
) -> None:
    """Ask for a quote, print it, and withdraw the job."""
    from rich.console import Console

    with (
        _shown(display),
        submission as ready,
        connect(access, nodes=nodes, step=display.step) as client,
        quoted(client, ready, display) as job,
    ):
        display.close()
        if as_json:
            answer(quote_report(job))
        else:
            Console().print(quote_table(job))


def _ask(job: JobView) -> bool:
    assert job.quote is not None
    print(f"Accept, for at most {job.quote.cap_usd} USD? [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return answer != "" and answer.strip().lower() in ("", "y", "yes")


def _left_for_review(job: JobView, info: Info, previewed: Sequence[Delivered], *, as_json: bool) -> None:
    """Nobody is there to be asked: say how to go on. The job waits until its deadline."""
    from rich.console import Console

    if as_json:
        answer(job_report(job, info, delivered=previewed))
    else:
        Console().print(job_table(job, info, [str(one.path) for one in previewed]))
        print(f"`kilnet approve {job.id}` goes on with it, `kilnet reject {job.id}` ends it", file=sys.stderr)


def _go_on(job: JobView, previewed: Sequence[Delivered]) -> bool:
    shown = ", ".join(str(one.path) for one in previewed[:_NAMED])
    print(
        f"The preview is in {shown}. Go on with the job? A no pays what was rendered. [y/n] ", end="", file=sys.stderr
    )
    while True:
        sys.stderr.flush()
        said = sys.stdin.readline()
        if not said:
            raise Interrupted(f"job {job.id} waits; `kilnet approve {job.id}` or `kilnet reject {job.id}`")
        if said.strip().lower() in ("y", "yes", "n", "no"):
            return said.strip().lower().startswith("y")
        print("y goes on, n ends it: ", end="", file=sys.stderr)
