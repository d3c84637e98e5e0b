"""Following a job: how far it is, and the frames as they fill in."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.bridge.telling import told
from coordinator.cli.looks import look_text
from jobs.errors import KilnetError
from jobs.states import JOB_FINAL, JobKind, JobState
from jobs.tiles import RenderTile

if TYPE_CHECKING:
    from coordinator.cli.bridge.lines import Request
    from jobs.client import Client
    from jobs.wire import JobView

__all__ = ["follow"]

_LOOK_SECONDS = 0.5
_FINEST = 0.01
"""Progress that moved by less is not told."""
_NEWS = ("state", "tiles_passed", "waiting_for", "priority", "cap_usd")


def follow(client: Client, request: Request, job_id: str, folder: Path | None) -> JobView:
    """The job when it has ended. Says `job` when something changed, and `picture` when a frame has more tiles than
    before: its so far passed tiles as a PNG in `folder`. Raises Stopped; the job goes on then."""
    ended = threading.Event()
    pictures: _Pictures | None = None
    before: tuple[object, ...] = ()
    try:
        while True:
            view = client.job(job_id)
            fields = told(view)
            now = (*(fields[name] for name in _NEWS), view.progress // _FINEST)
            if now != before:
                before = now
                request.say("job", **fields)
            if pictures is None and folder is not None and _has_tiles(view):
                pictures = _Pictures(client, job_id, folder, ended)
            if pictures is not None:
                pictures.tell(request)
            if view.state in JOB_FINAL:
                return view
            request.wait(_LOOK_SECONDS)
    finally:
        ended.set()


def _has_tiles(view: JobView) -> bool:
    return view.kind is JobKind.RENDER and view.state not in (JobState.ADMITTING, JobState.QUOTED, JobState.OPENING)


class _Pictures:
    """Frames whose tiles passed, fetched one at a time: what changed last is shown first."""

    def __init__(self, client: Client, job_id: str, folder: Path, ended: threading.Event) -> None:
        self._client, self._job, self._folder, self._ended = client, job_id, folder, ended
        folder.mkdir(parents=True, exist_ok=True)
        self._frames: dict[int, tuple[int, ...]] = {}
        """By tile."""
        self._changed: dict[int, None] = {}
        """Frames with news, the latest last."""
        self._tags: dict[int, str] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True, name="tiles").start()

    def tell(self, request: Request) -> None:
        """Fetch the frame that changed last and say where its picture lies."""
        with self._lock:
            if not self._changed:
                return
            frame, _ = self._changed.popitem()
        try:
            found = self._client.frame_picture(self._job, frame, known=self._tags.get(frame))
        except KilnetError:
            return  # a picture is worth no trouble; the next tile asks again
        if found is None:
            return
        path = self._folder / f"live_{frame:04d}.png"
        partial = path.with_suffix(".part")
        partial.write_bytes(found.png)
        partial.replace(path)
        self._tags[frame] = found.tag
        if found.more:
            self._note((frame,))
        seen = None
        with suppress(KilnetError):
            seen = look_text(self._client.frame_look(self._job, frame))
        request.say("picture", frame=frame, path=str(path), seen=seen)

    def _note(self, frames: tuple[int, ...]) -> None:
        with self._lock:
            for frame in frames:
                self._changed.pop(frame, None)
                self._changed[frame] = None

    def _listen(self) -> None:
        while not self._ended.is_set():
            with suppress(KilnetError, RuntimeError, ValueError):
                for view in self._client.tiles(self._job):
                    if isinstance(view.tile, RenderTile):
                        self._frames[view.index] = view.tile.frames
                for event in self._client.events(self._job):
                    if event.type == "tile" and event.data.get("state") == "done":
                        self._note(self._frames.get(int(event.data["index"]), ()))
                    if self._ended.is_set():
                        return
                return
            self._ended.wait(_LOOK_SECONDS)
