"""What came of a job: whether its price is within the bound, whether it ended well, and what its predictions become."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.transfers import Delivered
from jobs.errors import BadInput, JobFailed
from jobs.states import JobState
from jobs.wire import JobView

if TYPE_CHECKING:
    from jobs.outputs import Format

__all__ = ["NOT_DELIVERED", "check_ended", "check_folder", "check_price", "written"]

NOT_DELIVERED = ("preview", "reference")
"""Kinds of output that are looks at the job and no part of what was ordered."""
_OPENED_OTHERWISE = ("escrow_taken", "escrow_gone")


def check_folder(out: Path, *, named: str = "") -> None:
    """Raises BadInput where files could not be put into `out`: said now, not when they are there and paid. Nothing is
    made yet. `named` stands before it in what is said."""
    there = next(path for path in (out, *out.parents) if path.exists())
    if not there.is_dir():
        raise BadInput(f"{named}{there}: is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"{named}{out}: {there} cannot be written; choose another folder")


def check_price(job: JobView, bound: float | None, *, named: str = "max_price_usd") -> None:
    """Raises BadInput for a quote above `bound` USD, which whoever gave it knows as `named`."""
    assert job.quote is not None
    if bound is not None and Decimal(job.quote.price_usd) > Decimal(str(bound)):
        raise BadInput(
            f"the quote is {job.quote.price_usd} USD, above {named} {bound:g}; raise it, or ask for fewer frames, "
            "samples or pixels",
            code="price_cap",
        )


def check_ended(job: JobView) -> None:
    """Raises JobFailed where the job ended without what was asked for, BadInput where nobody came to do it."""
    if job.state is JobState.FAILED:
        if job.error_code == "no_nodes":
            # Nothing failed: there was nobody to do what was asked.
            raise BadInput(
                f"job {job.id}: {job.error}; connect a node that fits, or choose a later deadline", code="no_nodes"
            )
        if (job.error_code or "").startswith("escrow_") and job.error_code not in _OPENED_OTHERWISE:
            # The contract refused the order itself: too few tokens, an order or a permit that has expired.
            raise BadInput(f"job {job.id}: {job.error}; nothing was charged", code=job.error_code)
        raise JobFailed(
            f"job {job.id} failed: {job.error or 'no reason given'}; what was not spent is refunded",
            code=job.error_code or "job_failed",
        )
    if job.state is JobState.CANCELLED:
        raise JobFailed(f"job {job.id} was cancelled; what had passed is paid, the rest refunded", code="cancelled")


def written(delivered: Sequence[Delivered], out: Path, names: Sequence[str] | None, wanted: Format) -> list[Delivered]:
    """What is made of delivered predictions in `out`: the items' names (items.json), and the form that is wanted
    (nothing more for npz). Raises BadInput."""
    from jobs.manifest import hash_file
    from jobs.outputs import Format, convert

    made: list[Path] = []
    for one in [one for one in delivered if one.kind == "predictions"]:
        if names is not None:
            told = json.dumps({"names": list(names)}, ensure_ascii=False)
            try:
                (out / "items.json").write_text(told, encoding="utf-8")
            except OSError as error:
                raise BadInput(
                    f"{error.filename or out}: cannot be written ({error.strerror}); make room for it"
                ) from error
        if wanted is not Format.NPZ:
            made += convert(one.path, wanted, names)
    return [
        Delivered(path=file, sha256=hash_file(file, relative_to=file.parent).sha256, kind=str(wanted), frame=None)
        for path in made
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
    ]
