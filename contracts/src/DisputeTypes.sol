// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReceiptTree} from "./ReceiptTree.sol";
import {SignedMessages} from "./SignedMessages.sol";

/// @title What disputes are told in: states, faults, events and errors
abstract contract DisputeTypes {
    /// @notice Where a challenge stands. All but Open are final.
    enum Outcome {
        None,
        Open,
        Upheld,
        Dismissed,
        Lapsed
    }

    /// @notice Why a proposal was voided.
    enum Fault {
        UnsignedReceipt,
        ForeignReceipt,
        DuplicateTile,
        WrongSum,
        Ruling
    }

    /// @notice A challenge of a job's proposal, of an operator, or of both.
    struct Challenge {
        address challenger;
        uint40 openedAt;
        Outcome outcome;
        uint96 bond;
        address operator;
        bytes32 job;
    }

    /// @notice A receipt with its signature and its place under a root.
    struct Leaf {
        SignedMessages.Receipt receipt;
        bytes signature;
        ReceiptTree.Sibling[] path;
    }

    /// @notice What is fixed at deployment. Shares in 1/10000, times in seconds, amounts in the smallest unit.
    struct Terms {
        uint96 bond;
        uint40 rulingPeriod;
        uint16 equivocationBps;
        uint16 maxRulingBps;
    }

    /// @notice A node was shown to have committed to two results.
    event EquivocationProven(
        address indexed node, address indexed operator, bytes32 lease, uint64 token, address finder
    );
    /// @notice A proposal was shown to be wrong, and voided.
    event ProposalFaulty(bytes32 indexed job, Fault fault, address finder);
    /// @notice A challenge was opened. `evidence` is the hash of what the auditors are shown.
    event Challenged(
        uint256 indexed challenge, bytes32 indexed job, address indexed operator, address challenger, bytes32 evidence
    );
    /// @notice A challenge was decided. A bond is returned, but burned where the challenge was dismissed.
    event ChallengeClosed(uint256 indexed challenge, Outcome outcome, uint16 slashBps);

    /// @notice An address that must be something is zero.
    error ZeroAddress();
    /// @notice A share is above all.
    error ShareTooHigh(uint256 bps, uint256 most);
    /// @notice Stake could leave before a ruling.
    error UnbondingTooShort(uint256 unbondingPeriod, uint256 needed);
    /// @notice The two commitments do not contradict each other, or were not signed by one node.
    error NoEquivocation();
    /// @notice That contradiction was shown before.
    error AlreadyProven(address node, bytes32 lease, uint64 token);
    /// @notice Nobody answers for that node.
    error UnknownNode(address node);
    /// @notice What was shown does not hang on the root that is proposed.
    error NotUnderRoot(bytes32 job);
    /// @notice What was shown is as it should be.
    error NoFault(bytes32 job);
    /// @notice A challenge is of a job, of an operator, or of both.
    error NothingChallenged();
    /// @notice A proposal is challenged once.
    error AlreadyChallenged(bytes32 job);
    /// @notice There is no such challenge, or it was decided.
    error ChallengeNotOpen(uint256 challenge);
    /// @notice The auditors' time is over.
    error RulingTooLate(uint256 time, uint256 end);
    /// @notice The auditors still have time.
    error RulingPending(uint256 time, uint256 end);
    /// @notice A dismissal slashes nobody, nor does a ruling without an operator.
    error NobodyToSlash();
}
