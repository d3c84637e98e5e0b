"""Money: the escrow of a job, its settlement, the rewards of an epoch, and how the books are kept with the chain.

Rows first, chain second: a transaction is written down before it is sent, under a key that says what it is for, so
that a crash between any two steps is followed by the very same step again.
"""

from coordinator.settlement.acknowledging import acknowledge, bond_view
from coordinator.settlement.awards import award, release
from coordinator.settlement.chain import chain_info, client, domain, receipt_signer
from coordinator.settlement.disputes import dispute
from coordinator.settlement.epochs import close_epoch
from coordinator.settlement.escrow import open_escrow, settle
from coordinator.settlement.price import kiln_per_usd, refresh_price, shown_kiln_per_usd, try_refresh_price
from coordinator.settlement.receipts import SignedReceipt, sign_receipt
from coordinator.settlement.reconciling import reconcile
from coordinator.settlement.stakes import StakeTerms, look_again, look_at, stake_asked, stake_terms

__all__ = [
    "SignedReceipt", "StakeTerms", "acknowledge", "award", "bond_view", "chain_info", "client", "close_epoch",
    "dispute", "domain", "kiln_per_usd", "look_again", "look_at", "open_escrow", "receipt_signer", "reconcile",
    "refresh_price", "release", "settle", "shown_kiln_per_usd", "sign_receipt", "stake_asked", "stake_terms",
    "try_refresh_price",
]  # fmt: skip
