"""Where a challenge stands, for every command that names one by its number."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coordinator.cli.sending import Deployment
from coordinator.cli.told import told
from jobs.errors import BadInput

__all__ = ["Number", "known"]

Number = Annotated[int, typer.Argument(metavar="CHALLENGE", min=1, help="The challenge's number.")]


def known(where: Deployment, number: int) -> dict[str, Any]:
    """By name: challenge, state, challenger, job, operator, bond (base units, a string), until (Unix time). Raises
    BadInput `not_found`."""
    from contracts.disputes import Outcome

    with told():
        reader = where.reader()
        kept = reader.challenge_of(number)
        until = kept.opened_at + reader.ruling_period()
    if kept.outcome is Outcome.NONE:
        raise BadInput(f"there is no challenge {number}", code="not_found")
    return {
        "challenge": number, "state": kept.outcome.name.lower(), "challenger": kept.challenger,
        "job": None if kept.job is None else "0x" + kept.job.hex(), "operator": kept.operator, "bond": str(kept.bond),
        "until": until,
    }  # fmt: skip
