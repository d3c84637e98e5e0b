# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `kilnet bridge` program beside Blender: requests to its stdin, events from its stdout. Knows nothing of bpy."""

from __future__ import annotations

import collections
import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

__all__ = ["Bridge", "NotStarted", "find_kilnet", "on_this_machine"]

_HIDDEN = getattr(subprocess, "CREATE_NO_WINDOW", 0)
_KEPT_LINES = 20
_LAST_WORDS_SECONDS = 5.0


class NotStarted(Exception):
    """The program cannot be started; the message says what to do."""


def find_kilnet(named: str) -> str:
    """The program that is named, else the one on PATH or where pip and pipx put it. Raises NotStarted."""
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise NotStarted(f"{named} is no program; name the kilnet command in the add-on's preferences")
        return named
    # A Blender that was started from a menu has not the PATH of a shell.
    usual = [Path.home() / ".local" / "bin" / "kilnet"]
    found = shutil.which("kilnet") or next((str(path) for path in usual if os.access(path, os.X_OK)), None)
    if found is None:
        raise NotStarted("the kilnet command is not installed, or not found: name it in the add-on's preferences")
    return found


class Bridge:
    """One running program. `events` holds what it said, in order, as dicts; the reader takes them when it likes."""

    def __init__(self, command: list[str]) -> None:
        """Raises NotStarted."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
                errors="replace", env=environment, creationflags=_HIDDEN,
            )  # fmt: skip
        except OSError as error:
            raise NotStarted(
                f"{command[0]} cannot be started: {error.strerror or error}; "
                "name the kilnet command in the add-on's preferences"
            ) from error
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._last_id = 0
        self._said: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        streams = self._process.stdout, self._process.stderr
        assert streams[0] is not None and streams[1] is not None
        self._complaints = threading.Thread(target=self._hear, args=(streams[1],), daemon=True)
        self._complaints.start()
        threading.Thread(target=self._read, args=(streams[0],), daemon=True).start()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, do: str, **fields: Any) -> int:
        """Ask for something; the id under which its events come. Where the program has ended, its end is an event."""
        self._last_id += 1
        line = json.dumps({"id": self._last_id, "do": do, **fields}) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError):
            self.events.put(self._end())
        return self._last_id

    def close(self) -> None:
        """End the program: what was not ordered is withdrawn, what was goes on."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_LAST_WORDS_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _read(self, source: IO[str]) -> None:
        for line in source:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                self.events.put(event)
        self.events.put(self._end())

    def _hear(self, source: IO[str]) -> None:
        for line in source:
            self._said.append(line.strip())

    def _end(self) -> dict[str, Any]:
        self._complaints.join(1.0)
        last = next((line for line in reversed(self._said) if line), "")
        return {"id": None, "event": "ended", "message": last.removeprefix("kilnet: ") or "the kilnet command ended"}


def on_this_machine(gateway: str) -> bool:
    """Whether a gateway can be reached without going online."""
    return not gateway or (urlsplit(gateway).hostname or "") in ("127.0.0.1", "localhost", "::1")
