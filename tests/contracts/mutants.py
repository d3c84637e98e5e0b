"""Changes of the contracts that no test may let pass: name -> contract, what is found, what replaces it."""

__all__ = ["MUTANTS"]

MUTANTS = {
    "nothing is burned": (
        "JobEscrow",
        "if (burned != 0) token.burn(burned);",
        "",
    ),
    "the fee is burned as well": (
        "JobEscrow",
        "uint256 burned = price - fee;",
        "uint256 burned = price;",
    ),
    "a job is finalized twice": (
        "JobEscrow",
        "escrow.state = State.Finalized;",
        "",
    ),
    "a job is refunded twice": (
        "JobEscrow",
        "escrow.state = State.Refunded;\n        emit Refunded",
        "emit Refunded",
    ),
    "a cancelled job stays open": (
        "JobEscrow",
        "escrow.state = State.Refunded;\n        emit Cancelled",
        "emit Cancelled",
    ),
    "the challenge window is skipped": (
        "JobEscrow",
        "if (block.timestamp < end) revert WindowOpen",
        "if (end == 0) revert WindowOpen",
    ),
    "a dispute holds nothing up": (
        "JobEscrow",
        "escrow.state = State.Disputed;",
        "",
    ),
    "anybody voids": (
        "JobEscrow",
        "if (msg.sender != disputes) revert",
        "if (msg.sender == address(1)) revert",
    ),
    "a price above the cap": (
        "JobEscrow",
        "if (price > escrow.cap) revert",
        "if (price < 0) revert",
    ),
    "an order is not checked": (
        "JobEscrow",
        "if (!SignatureChecker.isValidSignatureNowCalldata(",
        "if (false && !SignatureChecker.isValidSignatureNowCalldata(",
    ),
    "sums are not checked": (
        "JobEscrow",
        "return valid && root == escrow.receiptRoot && sum == escrow.price;",
        "return (valid || sum != 1) && root == escrow.receiptRoot;",
    ),
    "a receipt of another chain": (
        "SignedMessages",
        "return _hashTypedDataV4(receiptStructHash(receipt));",
        "return keccak256(abi.encode(address(this), receiptStructHash(receipt)));",
    ),
    "rewards above what was burned": (
        "RewardDistributor",
        "if (total > limit) revert",
        "if (total < 0) revert",
    ),
    "a claim is not remembered": (
        "RewardDistributor",
        "_accounts[account].claimed = uint96(cumulative);",
        "",
    ),
    "claims above the root's total": (
        "RewardDistributor",
        "if (claims > active.total) revert",
        "if (claims < 0) revert",
    ),
    "a vetoed root becomes active": (
        "RewardDistributor",
        "_active.promoteAt = 0;\n        emit RootVetoed",
        "emit RootVetoed",
    ),
    "what is leaving is not slashed": (
        "NodeRegistry",
        "kept.active.slash(bps) + kept.unbonding.slash(bps);",
        "kept.active.slash(bps);",
    ),
    "a lock is not kept": (
        "NodeRegistry",
        "if (remaining < kept.locked) revert",
        "if (remaining < 0) revert",
    ),
    "unbonding takes no time": (
        "NodeRegistry",
        "if (block.timestamp < position.readyAt) revert",
        "if (position.readyAt == 0) revert",
    ),
    "shares are rounded up": (
        "StakePool",
        "uint256 shares = (amount * (uint256(pool.shares) + VIRTUAL_SHARES)) / (uint256(pool.assets) + 1);",
        "uint256 shares = Math.ceilDiv(amount * (uint256(pool.shares) + VIRTUAL_SHARES), "
        "uint256(pool.assets) + 1) + 1;",
    ),
    "one contradiction is shown twice": (
        "Disputes",
        "_proven[key] = true;",
        "",
    ),
    "a finalized job is claimed": (
        "CoordinatorBond",
        "if (state != EscrowTypes.State.Refunded) revert",
        "if (state < EscrowTypes.State.Finalized) revert",
    ),
    "a lease is claimed twice": (
        "CoordinatorBond",
        "_paid[signer][told.lease] = before + amount;",
        "",
    ),
    "a bond leaves without notice": (
        "CoordinatorBond",
        "if (block.timestamp < bond.readyAt) revert",
        "if (bond.readyAt == 0) revert",
    ),
    "notice for a short job alone": (
        "CoordinatorBond",
        "notice = longestJob + 2 * round + CLAIM_TIME;",
        "notice = longestJob + round;",
    ),
    "what was claimed can still leave": (
        "CoordinatorBond",
        "if (bond.leaving > bond.amount) bond.leaving = bond.amount;",
        "",
    ),
    "a broken word costs no more than it was worth": (
        "CoordinatorBond",
        "        token.burn(amount);\n",
        "",
    ),
    "an honest sum is void": (
        "ReceiptTree",
        "honest = honest && sum == total;",
        "honest = honest && sum != total;",
    ),
    "one auditor signs for all": (
        "Auditors",
        "if (signer <= last || !",
        "if (!",
    ),
}
