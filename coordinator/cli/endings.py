"""How the program ends: exit code and one line, whatever was raised."""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import typer

from coordinator.cli.answer import answer, answered
from jobs.errors import KilnetError

__all__ = ["Ending", "Interrupted", "ending_of"]

_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
_UNEXPECTED = 70
"""EX_SOFTWARE: a fault in this program."""


class Interrupted(Exception):
    """Ctrl-C, with what became of the job."""


@dataclass(frozen=True)
class Ending:
    """An exit code and, where something went wrong, one line for people and a word for programs."""

    code: int
    line: str = ""
    word: str = ""

    def tell(self, *, as_json: bool) -> None:
        """The line on stderr and, with --json, an object on stdout unless the command has given its own."""
        if not self.line:
            return
        print(f"kilnet: {self.line}", file=sys.stderr)
        if as_json and not answered():
            answer({"error": {"code": self.word, "message": self.line}})


def ending_of(error: BaseException) -> Ending:
    """What an exception means for whoever started the program."""
    if isinstance(error, typer.Exit):
        return Ending(error.exit_code)
    if isinstance(error, SystemExit):
        return Ending(error.code if isinstance(error.code, int) else 1)
    if isinstance(error, Interrupted):
        return Ending(_INTERRUPTED, _one_line(str(error)), "interrupted")
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return Ending(_INTERRUPTED, "stopped", "interrupted")
    if isinstance(error, KilnetError):
        return Ending(error.exit_code, _one_line(str(error)), error.code)
    if isinstance(error, typer.TyperException):
        said = _one_line(error.format_message()).rstrip(".")
        return Ending(error.exit_code, f"{said}; see kilnet --help" if said else "", "usage")
    return Ending(_UNEXPECTED, f"unexpected {_short(error)}; please report it with {_log(error)}", "unexpected")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _short(error: BaseException) -> str:
    return _one_line(f"{type(error).__name__}: {error}")[:300]


def _log(error: BaseException) -> str:
    """Where the trace was written."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "kilnet"
    path = state / f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        state.mkdir(parents=True, exist_ok=True)
        trace = "".join(traceback.format_exception(error))
        path.write_text(f"{' '.join(sys.argv[:2])}\n{trace}", encoding="utf-8")
    except OSError:
        return "its trace (which could not be written to disk)"
    return str(path)
