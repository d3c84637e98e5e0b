"""How clean a still is by now, in words: asked for when a tile has passed, and never worth any trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.errors import KilnetError
from jobs.states import JobKind
from jobs.tiles import RenderTile

if TYPE_CHECKING:
    from jobs.client import Client
    from jobs.looks import FrameLook
    from jobs.wire import JobView

__all__ = ["StillLooks", "look_text"]


def look_text(look: FrameLook) -> str:
    """Such as `all of it, 12 samples, noise 3.1%`."""
    seen = "all of it" if look.covered >= 1 else f"{look.covered:.0%} of it"
    noise = "" if look.noise is None else f", noise {look.noise:.1%}"
    return f"{seen}, {look.samples:.0f} samples{noise}"


class StillLooks:
    """Looks at one job, if it is a still in several tiles."""

    def __init__(self, client: Client, job_id: str) -> None:
        self._client, self._job = client, job_id
        self._frame: int | None = None
        self._passed, self._text, self._is_still = 0, "", True

    def text(self, job: JobView) -> str:
        """What is seen of it; empty where there is nothing to say."""
        if job.kind is not JobKind.RENDER or job.tiles < 2 or not self._is_still:
            return ""
        if job.tiles_passed in (self._passed, 0):
            return self._text
        self._passed = job.tiles_passed
        try:
            if self._frame is None:
                frames = {
                    tile.tile.frames for tile in self._client.tiles(self._job) if isinstance(tile.tile, RenderTile)
                }
                if len(frames) != 1 or len(only := frames.pop()) != 1:
                    self._is_still = False
                    return ""
                self._frame = only[0]
            self._text = look_text(self._client.frame_look(self._job, self._frame))
        except KilnetError:
            return ""
        return self._text
