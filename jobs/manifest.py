"""The files of a job, by content: what is uploaded, cached, bound into a sandbox and audited."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["Asset", "Manifest", "SafePath", "Sha256", "hash_file"]

MAX_FILES = 100_000


def _safe_path(value: str) -> str:
    """A relative path that stays below its folder, on every operating system."""
    path = PurePosixPath(value)
    if (
        not value
        or len(value) > 1024
        or path.is_absolute()
        or "\\" in value
        or ":" in value.split("/")[0]
        or any(ord(c) < 32 for c in value)
        or any(part in ("..", ".", "") for part in value.split("/"))
    ):
        raise ValueError(f"not a plain relative path: {value[:80]!r}; name the file without .. and /")
    return value


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Lower-case hex of a SHA-256."""
SafePath = Annotated[str, AfterValidator(_safe_path)]


class Asset(BaseModel):
    """One file: where it lies in the job's folder, and its content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: SafePath
    sha256: Sha256
    size: int = Field(ge=0, le=1 << 40)
    """Bytes."""


class Manifest(BaseModel):
    """All files of a job; `main` is the .blend or .onnx among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    main: SafePath
    assets: tuple[Asset, ...] = Field(min_length=1, max_length=MAX_FILES)

    def model_post_init(self, _: object) -> None:
        paths = [asset.path for asset in self.assets]
        if len(set(paths)) != len(paths):
            raise ValueError("two assets have the same path; rename one")
        if self.main not in paths:
            raise ValueError(f"main file {self.main!r} is not among the assets; add it")

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(asset.size for asset in self.assets)


def hash_file(path: Path, *, relative_to: Path) -> Asset:
    """The asset for a file on disk, read once in chunks."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return Asset(path=path.relative_to(relative_to).as_posix(), sha256=digest.hexdigest(), size=path.stat().st_size)
