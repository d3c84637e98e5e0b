"""Who runs a data folder, and who uses it. The kernel drops a lock with its holder, so none is ever stale."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from jobs.errors import Refused

__all__ = ["StackLock", "UsersLock"]


class StackLock:
    """One supervisor per data folder. The kernel drops the lock with its holder, so none is ever stale."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Raises Refused where another process has it."""
        file = self.path.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise Refused(
                f"{self.path.parent}: a kilnet is running on this data folder already (process {holder}); "
                "stop that one, or choose another folder with --data",
                code="already_running",
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @staticmethod
    def is_held(path: Path) -> bool:
        """Whether a supervisor is alive on this folder."""
        try:
            with path.open("r", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


class UsersLock:
    """Shared by the programs that use a temporary stack. Its supervisor takes it alone before it ends: then nobody is
    left, and nobody can come any more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def join(self) -> bool:
        """Counts this process in; False where the stack is ending."""
        return self._take(fcntl.LOCK_SH)

    def close(self) -> bool:
        """For the supervisor: True, and closed to newcomers until this process ends, where nobody uses it."""
        return self._take(fcntl.LOCK_EX)

    def leave(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, how: int) -> bool:
        file = self.path.open("a", encoding="ascii")
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True
