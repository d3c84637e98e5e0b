// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What an escrow is told in: states, what is kept, events and errors
abstract contract EscrowTypes {
    /// @notice Where a job stands. Finalized and Refunded are final.
    enum State {
        None,
        Open,
        Proposed,
        Disputed,
        Finalized,
        Refunded
    }

    /// @notice An EIP-2612 permit of KILN for this contract. A deadline of 0 says that there is none.
    struct Permit {
        uint256 value;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice All that is kept of a job; three storage slots. Times are in unix seconds. `voided` counts the proposals
    ///         that were; `voidedAt` is when the last was.
    struct Escrow {
        address client;
        uint40 deadline;
        uint40 proposedAt;
        State state;
        uint8 voided;
        uint96 cap;
        uint96 price;
        uint32 receiptCount;
        uint32 voidedAt;
        bytes32 receiptRoot;
    }

    /// @notice Who proposes prices and cancels.
    bytes32 public constant COORDINATOR_ROLE = keccak256("COORDINATOR_ROLE");
    /// @notice Whose signature makes a receipt. Rotate by granting a new one: revoking disowns earlier receipts.
    bytes32 public constant RECEIPT_SIGNER_ROLE = keccak256("RECEIPT_SIGNER_ROLE");
    /// @notice Who can stop and resume the intake.
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    /// @notice Longest time between opening and deadline, in seconds: a slip of the pen must not lock money for ever.
    uint64 public constant MAX_DURATION = 366 days;
    /// @notice Largest fee that can be deployed, in 1/10000.
    uint16 public constant MAX_FEE_BPS = 1_000;
    /// @notice Proposals that may be voided; after as many a job can only be given back, and at once.
    uint8 public constant MAX_VOIDED = 3;

    /// @notice A cap was locked.
    event Opened(bytes32 indexed job, address indexed client, uint256 cap, uint64 deadline);
    /// @notice A job was given to operators, each of whom has `stake` locked for it.
    event Awarded(bytes32 indexed job, address[] operators, uint96 stake);
    /// @notice A price was proposed.
    event Proposed(bytes32 indexed job, uint256 price, bytes32 receiptRoot, uint64 receiptCount);
    /// @notice A proposal was challenged: it cannot be finalized until the ruling.
    event ProposalDisputed(bytes32 indexed job);
    /// @notice The challenge came to nothing: the proposal stands.
    event DisputeDismissed(bytes32 indexed job);
    /// @notice A proposal was wrong and is gone: the job is open again. `voided` of them were.
    event ProposalVoided(bytes32 indexed job, uint256 price, bytes32 receiptRoot, uint8 voided);
    /// @notice A job was paid: burned + fee + refund is its cap.
    event Finalized(bytes32 indexed job, uint256 burned, uint256 fee, uint256 refund);
    /// @notice The coordinator gave the job up and the client got all of it back.
    event Cancelled(bytes32 indexed job, address indexed client, uint256 amount);
    /// @notice Time ran out and the client got all of it back.
    event Refunded(bytes32 indexed job, address indexed client, uint256 amount);

    /// @notice An address that must be something is zero.
    error ZeroAddress();
    /// @notice The fee asked for at deployment is above MAX_FEE_BPS.
    error FeeTooHigh(uint256 feeBps);
    /// @notice The job id was used before.
    error JobExists(bytes32 job);
    /// @notice The job is in another state than the call needs.
    error WrongState(bytes32 job, State actual, State expected);
    /// @notice A cap is between 1 and 2^96 - 1.
    error InvalidCap(uint256 cap);
    /// @notice A deadline lies in the future, by at most MAX_DURATION.
    error InvalidDeadline(uint64 deadline, uint256 time);
    /// @notice The order was not signed by its client for this contract on this chain.
    error InvalidOrderSignature(address client);
    /// @notice The permit, if any, was refused, and what the client allows this contract is below the cap.
    error InsufficientAllowance(address client, uint256 allowed, uint256 cap);
    /// @notice The price is above what the client agreed to.
    error PriceAboveCap(uint256 price, uint256 cap);
    /// @notice A root comes with receipts, receipts with a root, and a price with both.
    error ReceiptsMissing(uint256 price, bytes32 receiptRoot, uint64 receiptCount);
    /// @notice The time for a proposal is over: the job can only be refunded.
    error ProposalTooLate(uint256 time, uint256 last);
    /// @notice The challenge window is still open.
    error WindowOpen(uint256 time, uint256 end);
    /// @notice The challenge window is over.
    error WindowOver(uint256 time, uint256 end);
    /// @notice The coordinator may still propose.
    error RefundTooEarly(uint256 time, uint256 last);
    /// @notice More receipts than can be counted.
    error TooManyReceipts(uint64 receiptCount);
    /// @notice So many proposals of the job were voided that no other is taken.
    error TooManyVoided(bytes32 job);
    /// @notice Only the Disputes contract may do that.
    error NotDisputes(address caller);
}
