# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on is doing, in plain values: the panel draws them, operators begin things, events move them on.

Everything here runs in Blender's main thread. `pump` is called by a timer and takes what the bridge's own thread has
queued; nothing waits.
"""

from __future__ import annotations

import queue
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .bridge import Bridge, NotStarted

__all__ = ["Phase", "Session", "session"]


class Phase(Enum):
    """How far it is; the panel shows what can be done next."""

    AWAY = "not connected"
    CONNECTING = "connecting"
    IDLE = "connected"
    CHECKING = "checking"
    CHECKED = "checked"
    QUOTING = "getting a quote"
    QUOTED = "quoted"
    ORDERING = "ordering"
    FOLLOWING = "rendering"
    FETCHING = "bringing the frames"
    DONE = "done"
    ENDED = "ended"
    """Cancelled or failed: `error` says why."""


BUSY = frozenset({Phase.CONNECTING, Phase.CHECKING, Phase.QUOTING, Phase.ORDERING, Phase.FOLLOWING, Phase.FETCHING})
_CONNECTED = frozenset(Phase) - {Phase.AWAY, Phase.CONNECTING}


@dataclass
class Session:
    """One for the whole of Blender: one job at a time is looked at, however many are rendered."""

    phase: Phase = Phase.AWAY
    about: dict[str, Any] = field(default_factory=dict)
    """The answer to `hello`."""
    step: str = ""
    progress: float = 0.0
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    quote: dict[str, Any] = field(default_factory=dict)
    job: dict[str, Any] = field(default_factory=dict)
    """The latest news of the job; `job` in it is its id."""
    report: dict[str, Any] = field(default_factory=dict)
    seen: str = ""
    """What the live picture shows, in words."""
    error: str = ""
    files: list[dict[str, Any]] = field(default_factory=list)
    out: Path = Path()
    """Where the files of the job go."""
    changed: Callable[[], None] = lambda: None
    """Called when something that is shown has changed."""
    show_picture: Callable[[str, int], None] = lambda _path, _frame: None
    """Called with a live picture and its frame."""
    show_result: Callable[[list[dict[str, Any]]], None] = lambda _files: None
    """Called with the delivered files."""
    _bridge: Bridge | None = None
    _current: int | None = None
    _answers: dict[int, Callable[[dict[str, Any]], None]] = field(default_factory=dict)
    _scratch: Path | None = None
    _copy: Path | None = None

    @property
    def connected(self) -> bool:
        return self.phase in _CONNECTED and self._bridge is not None and self._bridge.running

    @property
    def busy(self) -> bool:
        return self.phase in BUSY

    @property
    def job_id(self) -> str:
        return str(self.job.get("job", ""))

    def scratch(self, name: str) -> Path:
        """A folder that ends with Blender."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="kilnet-blender-"))
        folder = self._scratch / name
        folder.mkdir(exist_ok=True)
        return folder

    def connect(self, command: list[str]) -> None:
        """Start the program and ask where it is connected to."""
        self.disconnect()
        self.error = ""
        try:
            self._bridge = Bridge(command)
        except NotStarted as error:
            self._fail({"message": str(error)})
            return
        self._ask(Phase.CONNECTING, "hello", self._greeted)

    def check(self, scene: Path, options: dict[str, Any]) -> None:
        """Have a copy of the scene packed, sent and described; it is removed when that is done."""
        self._copy = scene
        self._withdraw()
        self.wrong, self.notes, self.quote, self.job, self.report, self.files, self.seen = [], [], {}, {}, {}, [], ""
        self._ask(Phase.CHECKING, "check", self._described, scene=str(scene), options=options)

    def ask_quote(self) -> None:
        self._ask(Phase.QUOTING, "quote", self._quoted, job=self.job_id)

    def order(self, deadline: str) -> None:
        """Say yes to the quote that is shown."""
        cap = str(self.quote.get("cap", ""))
        self._ask(Phase.ORDERING, "order", self._ordered, job=self.job_id, cap=cap, deadline=deadline)

    def follow(self, job: str, out: Path) -> None:
        """Follow a job that was ordered, now or in an earlier session, and bring its files when it is done."""
        self.out, self.error = out, ""
        self.job = {**({} if self.job_id != job else self.job), "job": job}
        pictures = str(self.scratch(job))
        self._ask(Phase.FOLLOWING, "follow", self._ended, job=job, pictures=pictures)

    def steer(self, verb: str) -> None:
        """cancel, pause or resume the job; it is still followed."""
        self._send(verb, self._steered, job=self.job_id)

    def change(self, priority: int | None, cap_usd: str | None) -> None:
        """Another place among the account's own jobs, another cap (USD, up to what is in escrow); None: as it is."""
        given: dict[str, Any] = {"priority": priority, "cap_usd": cap_usd}
        given = {name: value for name, value in given.items() if value is not None}
        self.error = ""
        self._send("change", self._steered, job=self.job_id, **given)

    def stop(self) -> None:
        """Stop what is being checked, quoted or followed; what is ordered goes on."""
        if self._current is not None:
            self._send("stop", lambda _: None, what=self._current)

    def disconnect(self) -> None:
        """End the program: what nobody said yes to is withdrawn, what is ordered goes on."""
        if self._bridge is not None:
            self._bridge.close()
        self._bridge, self._current = None, None
        self._answers.clear()
        self._remove_copy()
        self.phase = Phase.AWAY

    def close(self) -> None:
        self.disconnect()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def pump(self) -> bool:
        """Take the events that came; whether there may be more soon."""
        bridge = self._bridge
        if bridge is None:
            return False
        came = False
        while self._bridge is bridge:
            try:
                event = bridge.events.get_nowait()
            except queue.Empty:
                break
            came = True
            self._take(event)
        if came:
            self.changed()
        return self.busy

    def _send(self, do: str, answer: Callable[[dict[str, Any]], None], **fields: Any) -> int:
        if self._bridge is None:
            self._fail({"message": "not connected: connect first"})
            return 0
        request = self._bridge.send(do, **fields)
        self._answers[request] = answer
        return request

    def _ask(self, phase: Phase, do: str, answer: Callable[[dict[str, Any]], None], **fields: Any) -> None:
        self.phase, self.step, self.progress, self.error = phase, phase.value, 0.0, ""
        self._current = self._send(do, answer, **fields) or None

    def _remove_copy(self) -> None:
        if self._copy is not None:
            self._copy.unlink(missing_ok=True)
            self._copy = None

    def _withdraw(self) -> None:
        if self.job_id and self.phase in (Phase.CHECKED, Phase.QUOTED):
            self._send("withdraw", lambda _: None, job=self.job_id)

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "ended":
            self._bridge, self._current = None, None
            self._answers.clear()
            self._remove_copy()
            self.phase = Phase.AWAY
            self.error = str(event.get("message", ""))
        elif kind in ("done", "error"):
            answer = self._answers.pop(event.get("id") or 0, None)
            if event.get("id") == self._current:
                self._current = None
                self._remove_copy()
            if kind == "error":
                self._fail(event)
            elif answer is not None:
                answer(event)
        elif event.get("id") == self._current:
            self._progressed(str(kind), event)

    def _progressed(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "step":
            self.step = str(event["text"])
        elif kind in ("upload", "download"):
            total = max(1, int(event["total"]))
            done = int(event["done"])
            self.progress = done / total
            self.step = f"{'sending' if kind == 'upload' else 'fetching'} {done / 1e6:.1f} of {total / 1e6:.1f} MB"
        elif kind == "job":
            self._heard(event)
        elif kind == "picture":
            self.seen = str(event.get("seen") or "")
            self.show_picture(str(event["path"]), int(event["frame"]))

    def _heard(self, event: dict[str, Any]) -> None:
        self.job = {name: value for name, value in event.items() if name not in ("id", "event")}
        self.progress = float(event.get("progress") or 0.0)
        waits = event.get("waiting_for")
        tiles = f"{event.get('tiles_passed', 0)} of {event.get('tiles', 0)} tiles" if event.get("tiles") else ""
        self.step = f"waits for {waits}" if waits else tiles or str(event.get("state", ""))

    def _fail(self, event: dict[str, Any]) -> None:
        if event.get("code") == "stopped":
            self.phase, self.step = (Phase.IDLE, "") if self.phase is not Phase.FOLLOWING else (Phase.ENDED, "")
            self.error = "" if self.phase is Phase.IDLE else "no longer followed; the job goes on"
            return
        self.error = str(event.get("message", "")) or "it failed, and no reason was given"
        # A question about a job that is followed (pause, cancel) may fail without an end to following it.
        if self._current is None:
            away = self._bridge is None or not self._bridge.running or self.phase is Phase.CONNECTING
            back = {Phase.QUOTING: Phase.CHECKED, Phase.ORDERING: Phase.QUOTED, Phase.FETCHING: Phase.ENDED}
            self.phase = Phase.AWAY if away else back.get(self.phase, Phase.IDLE)

    def _greeted(self, event: dict[str, Any]) -> None:
        self.about, self.phase, self.step = event, Phase.IDLE, ""

    def _described(self, event: dict[str, Any]) -> None:
        self._heard(event)
        self.notes += [str(line) for line in (event.get("description") or {}).get("warnings", ())]
        self.phase, self.step = Phase.CHECKED, ""

    def _quoted(self, event: dict[str, Any]) -> None:
        self._heard(event)
        self.quote = dict(event["quote"])
        known = set(self.notes)
        self.notes += [str(line) for line in self.quote.get("warnings", ()) if line not in known]
        self.phase, self.step = Phase.QUOTED, ""

    def _ordered(self, event: dict[str, Any]) -> None:
        self._heard(event)
        self.follow(self.job_id, self.out)

    def _steered(self, event: dict[str, Any]) -> None:
        self._heard(event)

    def _ended(self, event: dict[str, Any]) -> None:
        self._heard(event)
        self.report = dict(event.get("report") or {})
        if self.job.get("state") == "done":
            self._ask(Phase.FETCHING, "fetch", self._fetched, job=self.job_id, out=str(self.out))
            return
        self.phase, self.step = Phase.ENDED, ""
        paid = "what had passed is paid, the rest refunded"
        self.error = str(self.job.get("error") or f"the job was {self.job.get('state')}; {paid}")

    def _fetched(self, event: dict[str, Any]) -> None:
        self.files, self.phase, self.step, self.progress = list(event["files"]), Phase.DONE, "", 1.0
        self.show_result(self.files)


session = Session()
"""The one session of this Blender."""
