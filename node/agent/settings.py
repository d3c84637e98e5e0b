"""What an operator decides about a node."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from jobs.addresses import check_address
from jobs.constraints import parse_region
from jobs.errors import BadInput
from jobs.states import WorkKind
from node.runner_programs import RunnerSettings

__all__ = ["AgentSettings", "check_offer", "parse_kinds"]

MOST_USD = 1e6

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
    owner_signature: str | None = None
    """The owner's word that the node is his (`kilnet node own`)."""
    ask_usd_per_kiln_hour: float = 0.1
    region: str = ""
    cache_bytes: int = 32 << 30
    canary_folder: Path | None = None
    """Where canary results are kept; None: in `data`. Agents of one machine may share it."""
    grace_seconds: float = 6.0
    """How long a stop waits for a tile that is nearly done, and for the outbox."""
    claim_seconds: float = 20.0
    stake_as_needed: bool = False
    """Register on chain and stake what the gateway asks, by the node's own key or `operator_key`."""
    operator_key: Path | None = None
    rpc: str | None = None
    """Where the chain is read and written; None: as the gateway says."""
    once: bool = False
    """Stop after the first lease."""
    runner: RunnerSettings = field(default_factory=RunnerSettings)


def check_offer(*, ask: float, region: str, owner: str | None, owner_signature: str | None) -> tuple[str, str | None]:
    """The region and the owner's signature (as hex, or the file that holds it) as they are registered. Raises BadInput
    naming the option."""
    if not 0 < ask <= MOST_USD:
        raise BadInput(f"--ask {ask:g}: write a positive price in USD per kiln-hour, such as 0.10")
    if owner is not None:
        check_address(owner, "--owner")
    if owner_signature is not None and owner is None:
        raise BadInput("--owner-signature: name the owner too, with --owner ADDRESS")
    if owner_signature is not None and not owner_signature.startswith("0x"):
        try:
            owner_signature = Path(owner_signature).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(
                f"--owner-signature {owner_signature}: cannot be read; `kilnet node own` makes it"
            ) from error
    if owner_signature is not None and re.fullmatch(r"0x[0-9a-fA-F]{130}", owner_signature) is None:
        raise BadInput("--owner-signature: is no signature (0x and 130 hexadecimal digits); `kilnet node own` makes it")
    return parse_region(region) if region.strip() else "", owner_signature


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
