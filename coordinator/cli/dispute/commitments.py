"""Signed commitments out of files, and the two among them that contradict each other."""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from jobs.errors import BadInput
from jobs.spec import explain
from jobs.typed_data import Domain, commitment_message, lease_id_bytes, recover
from jobs.wire import Address, Hex32, Signature

if TYPE_CHECKING:
    from contracts.typed_data import Commitment

__all__ = ["Contradiction", "SignedCommitment", "contradiction", "read_commitments"]

_MOST = 1 << 20


class SignedCommitment(BaseModel):
    """What a node signed for a lease, and for which deployment."""

    chain_id: int = Field(ge=0)
    escrow: Address
    lease: str = Field(max_length=24)
    token: int = Field(ge=0, lt=1 << 64)
    root: Hex32
    cells: int = Field(ge=0, lt=1 << 64)
    signature: Signature

    def signer(self) -> str | None:
        """The node's address; None where the signature is none."""
        message = commitment_message(
            Domain(chain_id=self.chain_id, escrow=self.escrow), lease=self.lease, token=self.token,
            root=bytes.fromhex(self.root[2:]), cells=self.cells,
        )  # fmt: skip
        return recover(message, self.signature)

    def for_chain(self) -> tuple[Commitment, bytes]:
        from contracts.typed_data import Commitment

        made = Commitment(lease_id_bytes(self.lease), self.token, bytes.fromhex(self.root[2:]), self.cells)
        return made, bytes.fromhex(self.signature[2:])


class Contradiction(NamedTuple):
    """Two results that one node signed for one lease and token."""

    node: str
    lease: str
    token: int
    chain_id: int
    escrow: str
    first: tuple[Commitment, bytes]
    second: tuple[Commitment, bytes]


_LIST: TypeAdapter[Annotated[list[SignedCommitment], Field(max_length=1000)]] = TypeAdapter(
    Annotated[list[SignedCommitment], Field(max_length=1000)]
)


def read_commitments(path: Path) -> list[SignedCommitment]:
    """Those of a bundle of `kilnet dispute` (the worker's and the auditor's), or of a JSON list of them. Raises
    BadInput."""
    from coordinator.cli.dispute.bundle import read_bundle

    if path.is_dir() or zipfile.is_zipfile(path):
        evidence = read_bundle(path)
        return [
            SignedCommitment(
                chain_id=evidence.chain_id, escrow=evidence.escrow, lease=side.lease, token=side.token, root=side.root,
                cells=side.leaves, signature=side.signature,
            )
            for side in (evidence.worker, evidence.auditor) if side is not None
        ]  # fmt: skip
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_MOST))
        return _LIST.validate_python(data if isinstance(data, list) else [data])
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise BadInput(f"{path}: {explain(error)}; give bundles, or a JSON list of commitments") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is neither a bundle of `kilnet dispute` nor JSON") from error


def contradiction(found: Sequence[SignedCommitment]) -> Contradiction:
    """The first two that one node signed for one lease and token, of one deployment, with other results. Raises
    BadInput where there are none: the chain would say the same."""
    by_lease: defaultdict[tuple[object, ...], list[SignedCommitment]] = defaultdict(list)
    for one in found:
        node = one.signer()
        if node is None:
            continue
        same = by_lease[node, one.lease, one.token, one.chain_id, one.escrow.lower()]
        for other in same:
            if (other.root, other.cells) != (one.root, one.cells):
                return Contradiction(
                    node, one.lease, one.token, one.chain_id, one.escrow, other.for_chain(), one.for_chain()
                )
        same.append(one)
    raise BadInput(
        f"that is no evidence: of {len(found)} commitments no two are signed by one node for one lease and token with "
        "different results; give files that hold two such",
        code="no_evidence",
    )
