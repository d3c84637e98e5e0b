// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTypes} from "./EscrowTypes.sol";

/// @title What a coordinator's bond is told in: what is signed and kept, events and errors
abstract contract BondTypes {
    /// @notice A signer's word that a tile was delivered to it whole, and what that earns if the tile passes.
    struct Acknowledgement {
        bytes32 job;
        uint64 tile;
        bytes32 lease;
        address node;
        bytes32 root;
        uint256 amount;
    }

    /// @notice What stands for a signer's word; one storage slot. `leaving` is part of `amount` and may go at `readyAt`.
    ///         `known` is set for ever by the first deposit.
    struct Bond {
        uint96 amount;
        uint96 leaving;
        uint40 readyAt;
        bool known;
    }

    /// @notice EIP-712 type hash of Acknowledgement.
    bytes32 public constant ACKNOWLEDGEMENT_TYPEHASH =
        keccak256("Acknowledgement(bytes32 job,uint64 tile,bytes32 lease,address node,bytes32 root,uint256 amount)");
    /// @notice What nodes have to claim once a job cannot be paid any more, in seconds.
    uint40 public constant CLAIM_TIME = 30 days;

    /// @notice Somebody added to a signer's bond.
    event Deposited(address indexed signer, address indexed from, uint256 amount);
    /// @notice A signer gave notice: so much of its bond may leave at `readyAt`. It replaces the notice before.
    event NoticeGiven(address indexed signer, uint256 amount, uint40 readyAt);
    /// @notice A signer took back what it had given notice of.
    event BondWithdrawn(address indexed signer, uint256 amount);
    /// @notice A tile that was acknowledged and never paid was paid from the bond, which burned as much; `left` of it was
    ///         not there.
    event AcknowledgementClaimed(
        bytes32 indexed job,
        address indexed signer,
        bytes32 indexed lease,
        uint64 tile,
        address to,
        uint256 amount,
        uint256 left
    );

    /// @notice Jobs as long as that cannot be covered.
    error JobsTooLong(uint256 longest, uint256 most);
    /// @notice A deposit is above 0.
    error NothingDeposited();
    /// @notice Nothing was ever deposited for who signed: another account, chain or contract, or a changed word.
    error NoBond(address signer);
    /// @notice Only a job whose cap went back to its client is owed from the bond.
    error JobNotRefunded(bytes32 job, EscrowTypes.State state);
    /// @notice The lease has been paid from the bond, or is worth nothing.
    error AcknowledgementPaid(bytes32 lease, uint256 paid);
    /// @notice Nothing is left in the bond that could pay: half of it is burned.
    error BondExhausted(address signer, uint256 owed);
    /// @notice An amount is more than there is.
    error BondTooSmall(address signer, uint256 has, uint256 asked);
    /// @notice No notice was given, or nothing of what it was about is left.
    error NoNotice(address signer);
    /// @notice It cannot be taken yet.
    error NoticeRunning(uint256 time, uint256 readyAt);
}
