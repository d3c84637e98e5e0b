"""The evidence about one cell of one tile, as the gateway hands it out and `kilnet dispute` keeps it.

It stands by itself: whoever holds it checks signatures, drawing and comparison without asking anybody
(verification.evidence), and redoes that one cell with a runner of their own.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from jobs.contract import Contract, Lane
from jobs.manifest import Manifest
from jobs.states import Verdict
from jobs.tiles import Tile
from jobs.wire import Address, Hex32, Signature

__all__ = ["Evidence", "Refusal", "Refusals", "Side"]

_MOST_CELL_BYTES = 1 << 26


def _unpacked(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or len(value) > _MOST_CELL_BYTES * 4 // 3 + 4:
        raise ValueError(f"a cell is base64 text of at most {_MOST_CELL_BYTES >> 20} MiB")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64 ({error})") from error


CellData = Annotated[
    bytes, PlainValidator(_unpacked), PlainSerializer(lambda data: base64.b64encode(data).decode(), return_type=str)
]
"""The bytes of one cell; base64 in JSON."""


class _Evidence(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Side(_Evidence):
    """One of the two who computed the cell, and what binds it to the bytes."""

    address: Address
    numerics_class: str = Field(max_length=200)
    lease: str = Field(max_length=24)
    token: int = Field(ge=0)
    root: Hex32
    signature: Signature
    """EIP-712, over lease, token, root and number of leaves (jobs.typed_data.commitment_message)."""
    leaves: int = Field(ge=1, le=1 << 32)
    place: int = Field(ge=0)
    """Which leaf: of a worker's tree the cell's index, of an auditor's its place among the challenged cells."""
    path: tuple[Hex32, ...] = Field(max_length=64)
    data: CellData
    """float32, little endian: of a render (channels, height, width); of an item its outputs, then the fingerprint."""


class Evidence(_Evidence):
    """What was claimed about a cell, what came out, and what was decided on it."""

    version: Literal[1] = 1
    job: str = Field(max_length=24)
    tile: int = Field(ge=0)
    attempt: int = Field(ge=0)
    spec: Tile
    contract: Contract
    manifest: Manifest
    chain_id: int = Field(ge=0)
    escrow: Address
    lane: Lane
    verdict: Verdict
    reason: str = Field(max_length=4000)
    details: dict[str, Any]
    """As it was judged: limits and their calibration, the cells that differed the most."""
    cell: int = Field(ge=0)
    challenge: tuple[int, ...] = Field(max_length=1 << 23)
    secret_hash: Hex32
    secret: Hex32 | None
    """None while it is still kept: of an accepted tile, until its job is settled."""
    worker: Side
    auditor: Side | None
    """None for a cell that was not audited, and for a tile that was not."""


class Refusal(_Evidence):
    """One refused tile of the node that asks."""

    lease: str
    job: str
    tile: int
    attempt: int
    lane: Lane | None
    reason: str
    cells: int
    """How many were redone."""
    differing: tuple[int, ...]
    """Those that differed the most."""
    refused_at: float | None
    kept: bool
    """Whether evidence about a cell can still be had: until the job's files are removed."""


class Refusals(_Evidence):
    """What a node was refused, the latest first."""

    refusals: tuple[Refusal, ...]
