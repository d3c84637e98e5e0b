"""Our word for a tile that has arrived whole: what the bond owes its node if we never give a verdict."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from coordinator.config import Settings
from coordinator.settlement.chain import addresses, receipt_signer
from coordinator.store.models import Lease
from jobs.pricing import reward_units
from jobs.states import WorkKind
from jobs.typed_data import acknowledgement_message, sign
from jobs.wire import Acknowledgement, BondView

__all__ = ["acknowledge", "acknowledged", "bond_view"]


def acknowledge(
    settings: Settings, *, job: str, tile: int, lease: str, node: str, root: str, price: int
) -> Acknowledgement | None:
    """Sign that a tile was delivered; None where the deployment has no bond, or the tile earns nothing. `root` is
    0x-hex of 32 bytes, `price` in units of KILN. The same tile gives the same bytes."""
    known, amount = addresses(settings), reward_units(price)
    if not known.bond or not amount:
        return None
    signer, key = receipt_signer(settings)
    message = acknowledgement_message(
        chain_id=known.chain_id, bond=known.bond, job=job, tile=tile, lease=lease, node=node,
        root=bytes.fromhex(root.removeprefix("0x")), amount=amount,
    )  # fmt: skip
    return Acknowledgement(
        chain_id=known.chain_id, bond=known.bond, signer=signer, job=job, tile=tile, lease=lease, node=node, root=root,
        amount=amount, signature=sign(message, key),
    )  # fmt: skip


def bond_view(settings: Settings) -> BondView | None:
    """Where the bond is that stands for our word; None where the deployment has none. Raises NotDeployed."""
    bond = addresses(settings).bond
    return BondView(contract=bond, signer=receipt_signer(settings)[0]) if bond else None


def acknowledged(session: Session, settings: Settings, job_id: str) -> bool:
    """Whether we have given our word for some tile of a job, or have been ready to."""
    if not addresses(settings).bond:
        return False
    delivered = select(Lease.id).where(
        Lease.job_id == job_id, Lease.kind == str(WorkKind.TILE), Lease.completion_signature.is_not(None)
    )
    return bool(session.scalar(select(exists(delivered))))
