"""The coordinator's bond, typed: ``CoordinatorBond`` from Python.

Units are those of ``contracts.reader``. Errors are those of ``contracts.client``.
"""

from dataclasses import astuple, dataclass

from contracts.connection import Connection, Sender
from contracts.transactions import PreparedTx, TxResult
from contracts.typed_data import Acknowledgement

__all__ = ["Bond", "BondActions", "BondViews"]


@dataclass(frozen=True)
class Bond:
    """What stands for a signer's acknowledgements."""

    amount: int
    leaving: int
    """What of it may be withdrawn at ``ready_at``; it pays until then."""
    ready_at: int
    known: bool
    """Whether anything was ever deposited."""

    @property
    def pays(self) -> int:
        """What of it claims can be paid: each burns as much again."""
        return self.amount // 2


class BondViews(Connection):
    """What stands in the bond."""

    def bond_of(self, signer: str) -> Bond:
        """What stands for a signer's word."""
        return Bond(*self._call(self._bond, "bondOf", signer))

    def bond_notice(self) -> int:
        """Seconds between notice and withdrawal."""
        return int(self._call(self._bond, "notice"))

    def bond_escrow(self) -> str:
        """Whose jobs it stands for."""
        return str(self._call(self._bond, "escrow"))

    def bond_paid(self, signer: str, lease: bytes) -> int:
        """What a lease was paid from a signer's bond."""
        return int(self._call(self._bond, "paidOf", signer, lease))


class BondActions(BondViews, Sender):
    """What signers, nodes, and whoever adds to a bond send."""

    def prepare_deposit_bond(self, signer: str, amount: int, **options: int) -> PreparedTx:
        """Adds to a signer's bond; needs ``approve`` of the bond first."""
        return self._prepare(self._bond, "deposit", (signer, amount), options)

    def deposit_bond(self, signer: str, amount: int) -> TxResult:
        """Adds to a signer's bond; needs ``approve`` of the bond first."""
        return self._run(self.prepare_deposit_bond(signer, amount))

    def prepare_give_notice(self, amount: int, **options: int) -> PreparedTx:
        """Says how much of this account's bond is to leave; 0 takes that back."""
        return self._prepare(self._bond, "giveNotice", (amount,), options)

    def give_notice(self, amount: int) -> TxResult:
        """Says how much of this account's bond is to leave; 0 takes that back."""
        return self._run(self.prepare_give_notice(amount))

    def prepare_withdraw_bond(self, **options: int) -> PreparedTx:
        """Takes what this account gave notice of for long enough."""
        return self._prepare(self._bond, "withdraw", (), options)

    def withdraw_bond(self) -> TxResult:
        """Takes what this account gave notice of for long enough."""
        return self._run(self.prepare_withdraw_bond())

    def prepare_claim_bond(self, told: Acknowledgement, signature: bytes, **options: int) -> PreparedTx:
        """Has an acknowledged tile of a refunded job paid to whoever answers for its node."""
        return self._prepare(self._bond, "claim", (astuple(told), signature), options)

    def claim_bond(self, told: Acknowledgement, signature: bytes) -> TxResult:
        """Has an acknowledged tile of a refunded job paid to whoever answers for its node."""
        return self._run(self.prepare_claim_bond(told, signature))
