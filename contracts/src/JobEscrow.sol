// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {KilnToken} from "./KilnToken.sol";

/// @title What a job may cost at most, held until its outcome is known
/// @notice A client locks a cap. The coordinator proposes a price with the Merkle root of the receipts it is made of;
///         after the challenge window anybody finalizes: price - fee is burned, the fee goes to the treasury, the
///         rest returns to the client. If the coordinator vanishes, anybody refunds the client.
/// @dev No role can move an escrow anywhere but along this path. Pausing stops `open` and `openFor` only.
///      A job id is used once, for ever. Opening by a stranger under an id that the coordinator has handed out costs
///      the client nothing but a new id; whoever starts work on a job first compares client, cap and deadline.
contract JobEscrow is AccessControl, Pausable, ReentrancyGuardTransient, EIP712 {
    using SafeERC20 for KilnToken;

    /// @notice Where a job stands. Finalized and Refunded are final.
    enum State {
        None,
        Open,
        Proposed,
        Finalized,
        Refunded
    }

    /// @notice What a client signs so that the coordinator can open the escrow for it.
    struct JobOrder {
        bytes32 job;
        address client;
        uint256 cap;
        uint64 deadline;
    }

    /// @notice An EIP-2612 permit of KILN for this contract. A deadline of 0 says that there is none.
    struct Permit {
        uint256 value;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice The statement that a tile passed, signed by a receipt signer.
    struct Receipt {
        bytes32 job;
        uint64 tile;
        uint64 attempt;
        address node;
        bytes32 commitment;
        uint256 price;
    }

    /// @notice All that is kept of a job; three storage slots. Times are in unix seconds.
    struct Escrow {
        address client;
        uint40 deadline;
        uint40 proposedAt;
        State state;
        uint96 cap;
        uint96 price;
        uint64 receiptCount;
        bytes32 receiptRoot;
    }

    /// @notice Who proposes prices and cancels.
    bytes32 public constant COORDINATOR_ROLE = keccak256("COORDINATOR_ROLE");
    /// @notice Whose signature makes a receipt. Rotate by granting a new one: revoking disowns earlier receipts.
    bytes32 public constant RECEIPT_SIGNER_ROLE = keccak256("RECEIPT_SIGNER_ROLE");
    /// @notice Who can stop and resume the intake.
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    /// @notice EIP-712 type hash of JobOrder.
    bytes32 public constant JOB_ORDER_TYPEHASH =
        keccak256("JobOrder(bytes32 job,address client,uint256 cap,uint64 deadline)");
    /// @notice EIP-712 type hash of Receipt.
    bytes32 public constant RECEIPT_TYPEHASH =
        keccak256("Receipt(bytes32 job,uint64 tile,uint64 attempt,address node,bytes32 commitment,uint256 price)");
    /// @notice Longest time between opening and deadline, in seconds: a slip of the pen must not lock money for ever.
    uint64 public constant MAX_DURATION = 366 days;
    /// @notice Largest fee that can be deployed, in 1/10000.
    uint16 public constant MAX_FEE_BPS = 1_000;

    /// @notice The token that jobs are paid in.
    KilnToken public immutable token;
    /// @notice Who receives the fee.
    address public immutable treasury;
    /// @notice The fee's share of the price, in 1/10000, rounded down.
    uint16 public immutable feeBps;
    /// @notice Seconds between a proposal and the first moment it can be finalized.
    uint40 public immutable challengeWindow;
    /// @notice Seconds after the deadline in which the coordinator may still propose.
    uint40 public immutable grace;

    /// @notice All that jobs have burned so far, in the smallest unit. Never decreases.
    uint256 public totalBurned;

    mapping(bytes32 job => Escrow) private _escrows;

    /// @notice A cap was locked.
    event Opened(bytes32 indexed job, address indexed client, uint256 cap, uint64 deadline);
    /// @notice A price was proposed.
    event Proposed(bytes32 indexed job, uint256 price, bytes32 receiptRoot, uint64 receiptCount);
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
    /// @notice The coordinator may still propose.
    error RefundTooEarly(uint256 time, uint256 last);

    /// @param token_ The token that jobs are paid in.
    /// @param treasury_ Who receives the fee, for ever.
    /// @param admin Who grants and revokes roles.
    /// @param feeBps_ Fee in 1/10000 of the price.
    /// @param challengeWindow_ Seconds, may be 0 where nobody disputes (local chains).
    /// @param grace_ Seconds after the deadline in which the coordinator may still propose.
    constructor(
        KilnToken token_,
        address treasury_,
        address admin,
        uint16 feeBps_,
        uint40 challengeWindow_,
        uint40 grace_
    ) EIP712("kilnet", "1") {
        if (address(token_) == address(0) || treasury_ == address(0) || admin == address(0)) {
            revert ZeroAddress();
        }
        if (feeBps_ > MAX_FEE_BPS) revert FeeTooHigh(feeBps_);
        token = token_;
        treasury = treasury_;
        feeBps = feeBps_;
        challengeWindow = challengeWindow_;
        grace = grace_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    // -- intake

    /// @notice Locks the caller's `cap` for a job. Needs an allowance of at least `cap`.
    /// @param job A fresh job id, as the coordinator quoted it.
    /// @param cap The most the job may cost, in the smallest unit.
    /// @param deadline Unix seconds by which the job should be done.
    function open(bytes32 job, uint256 cap, uint64 deadline) external whenNotPaused nonReentrant {
        _open(job, msg.sender, cap, deadline);
    }

    /// @notice Locks a client's cap by its signed order; the caller pays the gas.
    /// @dev Anybody may have used the permit before (it is public once sent), so a refused permit is no error as
    ///      long as the allowance suffices.
    /// @param order What the client signed.
    /// @param signature The client's EIP-712 signature of it: an account's, or by ERC-1271 a contract's.
    /// @param permit An EIP-2612 permit of the client for this contract, or one with deadline 0 to use none.
    function openFor(JobOrder calldata order, bytes calldata signature, Permit calldata permit)
        external
        whenNotPaused
        nonReentrant
    {
        if (!SignatureChecker.isValidSignatureNowCalldata(order.client, orderDigest(order), signature)) {
            revert InvalidOrderSignature(order.client);
        }
        if (permit.deadline != 0) {
            try token.permit(
                order.client, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s
            ) {}
                catch {}
        }
        _open(order.job, order.client, order.cap, order.deadline);
    }

    // -- outcome

    /// @notice Says what a job costs and which receipts that is the sum of. Once per job.
    /// @param job The job.
    /// @param price Sum of the receipts' prices, at most the cap, in the smallest unit.
    /// @param receiptRoot Merkle root over `receiptLeaf` of every receipt; 0 where there is none.
    /// @param receiptCount How many receipts.
    function propose(bytes32 job, uint256 price, bytes32 receiptRoot, uint64 receiptCount)
        external
        onlyRole(COORDINATOR_ROLE)
    {
        Escrow storage escrow = _expect(job, State.Open);
        uint256 last = uint256(escrow.deadline) + grace;
        if (block.timestamp > last) revert ProposalTooLate(block.timestamp, last);
        if (price > escrow.cap) revert PriceAboveCap(price, escrow.cap);
        if ((receiptRoot == 0) != (receiptCount == 0) || (price != 0 && receiptCount == 0)) {
            revert ReceiptsMissing(price, receiptRoot, receiptCount);
        }
        escrow.state = State.Proposed;
        escrow.proposedAt = uint40(block.timestamp);
        // forge-lint: disable-next-line(unsafe-typecast)
        escrow.price = uint96(price); // at most the cap, which has 96 bits
        escrow.receiptCount = receiptCount;
        escrow.receiptRoot = receiptRoot;
        emit Proposed(job, price, receiptRoot, receiptCount);
    }

    /// @notice Pays a proposed job once its challenge window is over. Anybody may call it.
    /// @param job The job.
    function finalize(bytes32 job) external nonReentrant {
        Escrow storage escrow = _expect(job, State.Proposed);
        uint256 end = uint256(escrow.proposedAt) + challengeWindow;
        if (block.timestamp < end) revert WindowOpen(block.timestamp, end);
        escrow.state = State.Finalized;

        uint256 price = escrow.price;
        uint256 fee = (price * feeBps) / 10_000;
        uint256 burned = price - fee;
        uint256 rest = escrow.cap - price;
        totalBurned += burned;
        emit Finalized(job, burned, fee, rest);

        if (burned != 0) token.burn(burned);
        if (fee != 0) token.safeTransfer(treasury, fee);
        if (rest != 0) token.safeTransfer(escrow.client, rest);
    }

    /// @notice Gives an open job up and returns all of the cap.
    /// @param job The job.
    function cancel(bytes32 job) external onlyRole(COORDINATOR_ROLE) nonReentrant {
        Escrow storage escrow = _expect(job, State.Open);
        escrow.state = State.Refunded;
        emit Cancelled(job, escrow.client, escrow.cap);
        token.safeTransfer(escrow.client, escrow.cap);
    }

    /// @notice Returns all of the cap of a job for which nothing was proposed in time. Anybody may call it.
    /// @param job The job.
    function refund(bytes32 job) external nonReentrant {
        Escrow storage escrow = _expect(job, State.Open);
        uint256 last = uint256(escrow.deadline) + grace;
        if (block.timestamp <= last) revert RefundTooEarly(block.timestamp, last);
        escrow.state = State.Refunded;
        emit Refunded(job, escrow.client, escrow.cap);
        token.safeTransfer(escrow.client, escrow.cap);
    }

    // -- intake switch

    /// @notice Stops the intake of new jobs. What is locked goes its way.
    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    /// @notice Resumes the intake.
    function unpause() external onlyRole(PAUSER_ROLE) {
        _unpause();
    }

    // -- views

    /// @notice All that is kept of a job; state None for one that was never opened.
    function escrowOf(bytes32 job) external view returns (Escrow memory) {
        return _escrows[job];
    }

    /// @notice The digest that a client signs for an order.
    function orderDigest(JobOrder calldata order) public view returns (bytes32) {
        return
            _hashTypedDataV4(
                keccak256(abi.encode(JOB_ORDER_TYPEHASH, order.job, order.client, order.cap, order.deadline))
            );
    }

    /// @notice The EIP-712 struct hash of a receipt.
    function receiptStructHash(Receipt calldata receipt) public pure returns (bytes32) {
        return keccak256(
            abi.encode(
                RECEIPT_TYPEHASH,
                receipt.job,
                receipt.tile,
                receipt.attempt,
                receipt.node,
                receipt.commitment,
                receipt.price
            )
        );
    }

    /// @notice The digest that a receipt signer signs.
    function receiptDigest(Receipt calldata receipt) public view returns (bytes32) {
        return _hashTypedDataV4(receiptStructHash(receipt));
    }

    /// @notice A receipt's leaf in its job's Merkle tree: the struct hash, hashed again, so that no inner node of
    ///         a tree can pass for a leaf.
    function receiptLeaf(Receipt calldata receipt) public pure returns (bytes32) {
        return keccak256(bytes.concat(receiptStructHash(receipt)));
    }

    /// @notice Whether a receipt bears a receipt signer's signature and hangs on the root proposed for its job.
    /// @param receipt The receipt.
    /// @param signature 65 bytes (r, s, v).
    /// @param proof Siblings from the leaf up; pairs are hashed sorted.
    function verifyReceipt(Receipt calldata receipt, bytes calldata signature, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        Escrow storage escrow = _escrows[receipt.job];
        if (escrow.state != State.Proposed && escrow.state != State.Finalized) return false;
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(receiptDigest(receipt), signature);
        if (failure != ECDSA.RecoverError.NoError || !hasRole(RECEIPT_SIGNER_ROLE, signer)) return false;
        return MerkleProof.verifyCalldata(proof, escrow.receiptRoot, receiptLeaf(receipt));
    }

    // -- inside

    function _open(bytes32 job, address client, uint256 cap, uint64 deadline) private {
        Escrow storage escrow = _escrows[job];
        if (escrow.state != State.None) revert JobExists(job);
        if (cap == 0 || cap > type(uint96).max) revert InvalidCap(cap);
        if (deadline <= block.timestamp || deadline > block.timestamp + MAX_DURATION) {
            revert InvalidDeadline(deadline, block.timestamp);
        }
        uint256 allowed = token.allowance(client, address(this));
        if (allowed < cap) revert InsufficientAllowance(client, allowed, cap);
        escrow.client = client;
        // forge-lint: disable-next-line(unsafe-typecast)
        escrow.deadline = uint40(deadline); // at most MAX_DURATION away
        escrow.state = State.Open;
        // forge-lint: disable-next-line(unsafe-typecast)
        escrow.cap = uint96(cap); // checked above
        emit Opened(job, client, cap, deadline);
        token.safeTransferFrom(client, address(this), cap);
    }

    function _expect(bytes32 job, State expected) private view returns (Escrow storage escrow) {
        escrow = _escrows[job];
        if (escrow.state != expected) revert WrongState(job, escrow.state, expected);
    }
}
