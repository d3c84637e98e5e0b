"""What an operator decides about a node."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jobs.errors import BadInput
from jobs.states import WorkKind
from node.runner_programs import RunnerSettings

__all__ = ["AgentSettings", "parse_kinds"]

NODE_KINDS = (WorkKind.TILE, WorkKind.AUDIT)
"""What a node does unless told otherwise: audits only when it is drawn for one."""
TRUSTED_KINDS = (WorkKind.DESCRIBE, WorkKind.REFERENCE, WorkKind.AUDIT, WorkKind.REPRODUCE, WorkKind.ASSEMBLE)
"""What a trusted worker does unless told otherwise: tiles are for the nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    data: Path
    """Folder of this node: its key, its outbox, its cache."""
    gateway: str
    name: str = ""
    kinds: tuple[WorkKind, ...] | None = None
    """None: `tile` and `audit`, or for a trusted worker all but tiles."""
    trusted: bool = False
    """Refuse to start unless the gateway takes this address for one of its own."""
    unsandboxed: bool = False
    owner: str | None = None
    ask_usd_per_kiln_hour: float = 0.1
    region: str = ""
    cache_bytes: int = 32 << 30
    canary_folder: Path | None = None
    """Where canary results are kept; None: in `data`. Agents of one machine may share it."""
    grace_seconds: float = 6.0
    """How long a stop waits for a tile that is nearly done, and for the outbox."""
    claim_seconds: float = 20.0
    once: bool = False
    """Stop after the first lease."""
    runner: RunnerSettings = field(default_factory=RunnerSettings)


def parse_kinds(text: str | None) -> tuple[WorkKind, ...] | None:
    """Kinds of work from `tile,audit`. Raises BadInput naming those that there are."""
    if text is None:
        return None
    try:
        kinds = tuple(dict.fromkeys(WorkKind(part.strip()) for part in text.split(",") if part.strip()))
    except ValueError as error:
        raise BadInput(f"--kinds {text!r}: there are {', '.join(WorkKind)}") from error
    if not kinds:
        raise BadInput(f"--kinds {text!r}: name at least one of {', '.join(WorkKind)}")
    return kinds
