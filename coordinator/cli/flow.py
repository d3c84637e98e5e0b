"""The way of a job as its client sees it: upload, quote, accept, follow, download. A step that fails takes back the
steps before it, so that nothing is left behind."""

from __future__ import annotations

import hashlib
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.endings import Interrupted
from coordinator.cli.looks import StillLooks
from jobs.client.outcome import NOT_DELIVERED, check_price
from jobs.client.transfers import Delivered
from jobs.errors import KilnetError, Refused, Unavailable
from jobs.states import JOB_FINAL, JobState
from jobs.tiles import RenderTile
from jobs.wire import JobView

if TYPE_CHECKING:
    from coordinator.cli.display import Display
    from jobs.client import Client
    from jobs.submission import Submission

__all__ = ["accept", "deliver", "deliver_preview", "follow", "goes_on", "quoted"]

_RETRY_SECONDS = 1.0
_PACES = (0.3, 2.0)
"""Seconds between two looks at a job, at first and at most: each costs the gateway some 20 ms. What changes the job's
own state is shown at once."""
_GRACE_SECONDS = 60.0
"""The gateway itself ends an admission at the deadline, and says why: that answer is waited for."""


@contextmanager
def quoted(
    client: Client, submission: Submission, display: Display, *, idempotency_key: str | None = None
) -> Iterator[JobView]:
    """The job with its quote. Unless it was accepted in the block, it is cancelled at the end of the block.

    With the key of a job that was made before it is that job, however far it is.

    Raises BadInput for what admission finds wrong or a quote above --max-price, and what Client raises.
    """
    job_id = None
    try:
        client.upload(
            submission.manifest, submission.sources, progress=lambda done, all: display.transfer("upload", done, all)
        )
        job_id = client.create_job(submission.spec, submission.manifest, idempotency_key=idempotency_key).id
        patience = submission.spec.deadline_s + _GRACE_SECONDS
        job = client.wait_quote(job_id, timeout=patience, on_change=display.job)
        check_price(job, submission.spec.max_price_usd, named="--max-price")
        yield job
    finally:
        if job_id is not None:
            _withdraw(client, job_id)


def _withdraw(client: Client, job_id: str) -> None:
    """Cancel a job that nobody said yes to."""
    with suppress(KilnetError):
        if client.job(job_id).state in (JobState.ADMITTING, JobState.QUOTED):
            client.cancel(job_id)


def accept(client: Client, job: JobView, *, deadline_s: int, ask: Callable[[JobView], bool] | None) -> JobView:
    """Order the job; `ask` (None: nobody) says whether to. Raises Refused where the answer is no, Interrupted for
    Ctrl-C while the order is sent: it may have arrived."""
    if ask is not None and not ask(job):
        raise Refused("not accepted; nothing was charged", code="declined")
    try:
        return client.accept(job, deadline_s=deadline_s)
    except KeyboardInterrupt:
        raise Interrupted(f"job {job.id} may be ordered already: {_ways_back(job.id)}") from None


def follow(client: Client, job_id: str, display: Display, *, until_review: bool = False) -> JobView:
    """Show the job until it has ended or, with `until_review`, until its preview waits for a word; the job then. On
    Ctrl-C asks (on a terminal) whether to cancel it, and raises Interrupted with how to come back to it."""
    news: queue.SimpleQueue[str] = queue.SimpleQueue()
    ended = threading.Event()
    listener = threading.Thread(target=_listen, args=(client, job_id, news, ended), daemon=True, name="events")
    started, looks = time.monotonic(), StillLooks(client, job_id)
    try:
        listener.start()
        while True:
            job = client.job(job_id)
            display.job(job, looks.text(job))
            if job.state in JOB_FINAL or (until_review and job.state is JobState.REVIEW):
                return job
            now = time.monotonic()
            _await_change(news, until=now + min(max(_PACES[0], (now - started) / 20), _PACES[1]))
    except KeyboardInterrupt:
        raise Interrupted(_interrupted(client, job_id, display)) from None
    finally:
        ended.set()


def _await_change(news: queue.SimpleQueue[str], *, until: float) -> None:
    """Until something other than a tile's progress happens, at most until `until` of the monotonic clock."""
    with suppress(queue.Empty):
        while news.get(timeout=max(until - time.monotonic(), 0)) == "tile":
            pass


def _listen(client: Client, job_id: str, news: queue.SimpleQueue[str], ended: threading.Event) -> None:
    """Turns the job's events into looks at it; the looks go on without this, only less promptly."""
    while not ended.is_set():
        with suppress(KilnetError, RuntimeError, ValueError):
            for event in client.events(job_id):
                news.put(event.type)
                if ended.is_set():
                    return
        if ended.wait(_RETRY_SECONDS):
            return


def goes_on(job_id: str) -> str:
    """What to say of an ordered job whose follower was interrupted."""
    return f"job {job_id} goes on; {_ways_back(job_id)}"


def _ways_back(job_id: str) -> str:
    return f"`kilnet watch {job_id}` follows it, `kilnet cancel {job_id}` ends it"


def _interrupted(client: Client, job_id: str, display: Display) -> str:
    display.close()
    again = goes_on(job_id)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return again
    print("Cancel the job? What has passed is paid, the rest refunded. [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        return again
    if answer.strip().lower() not in ("y", "yes"):
        return again
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        client.cancel(job_id)
    except Unavailable as error:
        return f"job {job_id} could not be cancelled ({error}); try `kilnet cancel {job_id}`"
    finally:
        signal.signal(signal.SIGINT, before)
    return f"job {job_id} is cancelled; what had passed is paid, the rest refunded"


def deliver(client: Client, job: JobView, out: Path, display: Display) -> list[Delivered]:
    """The job's files into the folder `out` (which is made only if there is one), each checked against its hash."""
    return client.download_outputs(
        job.id,
        out,
        only=lambda output: output.kind not in NOT_DELIVERED,
        progress=lambda done, all: display.transfer("download", done, all),
    )


def deliver_preview(client: Client, job: JobView, out: Path, display: Display) -> list[Delivered]:
    """What there is of a job that waits for a word on its preview: an animation's first frames, or of a still the
    picture of its first samples, `preview_0001.png`."""
    frames = deliver(client, job, out, display)
    if frames:
        return frames
    tile = client.tiles(job.id)[0].tile
    assert isinstance(tile, RenderTile)
    frame = tile.frames[0]
    picture = client.frame_picture(job.id, frame)
    while picture is not None and picture.more:
        picture = client.frame_picture(job.id, frame)
    assert picture is not None
    path = out / f"preview_{frame:04d}.png"
    out.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.png)
    return [Delivered(path=path, sha256=hashlib.sha256(picture.png).hexdigest(), kind="preview", frame=frame)]
