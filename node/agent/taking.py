"""What a runner made, out of its scratch folder: nothing in there is trusted, least of all a link."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from node.agent.work import Work, WorkFailed
from node.runner_pool import WarmRunner
from node.runner_process import open_result

__all__ = ["copy_out", "progress_of", "sha256_of", "take_file"]

_MAX_FILE = 64 << 30


def take_file(runner: WarmRunner, name: object, target: Path, *, keep_others: bool = False) -> None:
    """Copy a result out of the scratch folder, never through a link, and empty the folder."""
    with open_result(runner.scratch, name, max_size=_MAX_FILE) as (file, _), target.open("wb") as out:
        shutil.copyfileobj(file, out, 1 << 20)
    if not keep_others:
        runner.clear()


def copy_out(root: Path, path: str, target: Path) -> None:
    """A file below `root` in the scratch folder, every folder on the way opened without following links."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    *folders, name = path.split("/")
    try:
        for folder in folders:
            if folder in ("", ".", ".."):
                raise WorkFailed(f"the runner delivered {path[:80]!r}", code="runner_protocol")
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
        with os.fdopen(source, "rb") as file, target.open("wb") as out:
            if not Path(f"/proc/self/fd/{file.fileno()}").is_file():
                raise WorkFailed(f"the runner delivered {path[:80]!r}, which is no file", code="runner_protocol")
            shutil.copyfileobj(file, out, 1 << 20)
    except OSError as error:
        raise WorkFailed(f"the runner's file {path[:80]!r}: {error.strerror}", code="runner_protocol") from error
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def progress_of(work: Work, begin: float, end: float) -> Callable[[float], None]:
    """Progress of a step as progress of the lease."""
    return lambda done: work.on_progress(begin + (end - begin) * done, str(work.offer.kind))
