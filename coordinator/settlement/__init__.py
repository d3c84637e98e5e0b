"""Money: the escrow of a job, its settlement, the rewards of an epoch, and how the books are kept with the chain.

Rows first, chain second: a transaction is written down before it is sent, under a key that says what it is for, so
that a crash between any two steps is followed by the very same step again.
"""

from coordinator.settlement.chain import chain_info, client, domain, receipt_signer
from coordinator.settlement.epochs import close_epoch
from coordinator.settlement.escrow import open_escrow, settle
from coordinator.settlement.receipts import SignedReceipt, sign_receipt
from coordinator.settlement.transactions import reconcile

__all__ = [
    "SignedReceipt",
    "chain_info",
    "client",
    "close_epoch",
    "domain",
    "open_escrow",
    "receipt_signer",
    "reconcile",
    "settle",
    "sign_receipt",
]
