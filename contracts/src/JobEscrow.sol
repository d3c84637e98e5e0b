// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EscrowTypes} from "./EscrowTypes.sol";
import {IBurnCounter, IJobEnds, IStakeLocks} from "./Interfaces.sol";
import {KilnToken} from "./KilnToken.sol";
import {ReceiptTree} from "./ReceiptTree.sol";
import {SignedMessages} from "./SignedMessages.sol";

/// @title What a job may cost at most, held until its outcome is known
/// @notice A client locks a cap. The coordinator proposes a price with the Merkle root of the receipts it is made of;
///         after the challenge window anybody finalizes: price - fee is burned, the fee goes to the treasury, the
///         rest returns to the client. A proposal that is proven wrong is voided, one that is challenged waits for the
///         ruling. If the coordinator vanishes, anybody refunds the client.
/// @dev No role can move an escrow anywhere but along this path. Pausing stops `open` and `openFor` only.
///      A job id is used once, for ever. Opening by a stranger under an id that the coordinator has handed out costs
///      the client nothing but a new id; whoever starts work on a job first compares client, cap and deadline.
contract JobEscrow is
    EscrowTypes,
    AccessControl,
    Pausable,
    ReentrancyGuardTransient,
    SignedMessages,
    IBurnCounter,
    IJobEnds
{
    using SafeERC20 for KilnToken;

    /// @notice The token that jobs are paid in.
    KilnToken public immutable token;
    /// @notice Who receives the fee.
    address public immutable treasury;
    /// @notice The fee's share of the price, in 1/10000, rounded down.
    uint16 public immutable feeBps;
    /// @notice Seconds between a proposal and the first moment it can be finalized.
    uint40 public immutable challengeWindow;
    /// @notice Seconds after the deadline in which the coordinator may still propose; as long after the first voiding.
    uint40 public immutable grace;
    /// @notice Where operators' stake is locked while they work on a job.
    IStakeLocks public immutable registry;
    /// @notice Who disputes, dismisses and voids: the Disputes contract.
    address public immutable disputes;

    /// @notice All that jobs have burned so far, in the smallest unit. Never decreases.
    uint256 public totalBurned;

    mapping(bytes32 job => Escrow) private _escrows;

    /// @param token_ The token that jobs are paid in.
    /// @param treasury_ Who receives the fee, for ever.
    /// @param admin Who grants and revokes roles.
    /// @param feeBps_ Fee in 1/10000 of the price.
    /// @param challengeWindow_ Seconds, may be 0 where nobody disputes (local chains).
    /// @param grace_ Seconds after the deadline in which the coordinator may still propose.
    /// @param registry_ Where operators' stake is locked, for ever.
    /// @param disputes_ The Disputes contract, for ever.
    constructor(
        KilnToken token_,
        address treasury_,
        address admin,
        uint16 feeBps_,
        uint40 challengeWindow_,
        uint40 grace_,
        IStakeLocks registry_,
        address disputes_
    ) {
        if (address(token_) == address(0) || treasury_ == address(0) || admin == address(0)) {
            revert ZeroAddress();
        }
        if (address(registry_) == address(0) || disputes_ == address(0)) revert ZeroAddress();
        if (feeBps_ > MAX_FEE_BPS) revert FeeTooHigh(feeBps_);
        token = token_;
        treasury = treasury_;
        feeBps = feeBps_;
        challengeWindow = challengeWindow_;
        grace = grace_;
        registry = registry_;
        disputes = disputes_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @dev The Disputes contract alone.
    modifier onlyDisputes() {
        if (msg.sender != disputes) revert NotDisputes(msg.sender);
        _;
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

    /// @notice Gives an open job to operators and locks stake of each until it is final. May be called again for others.
    /// @param job The job.
    /// @param operators Who does the work; each once per job.
    /// @param stake What is locked of each operator's own stake, in the smallest unit.
    function award(bytes32 job, address[] calldata operators, uint96 stake)
        external
        onlyRole(COORDINATOR_ROLE)
        nonReentrant
    {
        _expect(job, State.Open);
        emit Awarded(job, operators, stake);
        registry.lock(job, operators, stake);
    }

    /// @notice Says what a job costs and which receipts that is the sum of.
    /// @param job The job.
    /// @param price Sum of the receipts' prices, at most the cap, in the smallest unit.
    /// @param receiptRoot Root of the ReceiptTree over `receiptLeaf` of every receipt; 0 where there is none.
    /// @param receiptCount How many receipts.
    function propose(bytes32 job, uint256 price, bytes32 receiptRoot, uint64 receiptCount)
        external
        onlyRole(COORDINATOR_ROLE)
    {
        Escrow storage escrow = _expect(job, State.Open);
        if (escrow.voided >= MAX_VOIDED) revert TooManyVoided(job);
        uint256 last = _proposalEnd(escrow);
        if (block.timestamp > last) revert ProposalTooLate(block.timestamp, last);
        if (price > escrow.cap) revert PriceAboveCap(price, escrow.cap);
        if ((receiptRoot == 0) != (receiptCount == 0) || (price != 0 && receiptCount == 0)) {
            revert ReceiptsMissing(price, receiptRoot, receiptCount);
        }
        if (receiptCount > type(uint32).max) revert TooManyReceipts(receiptCount);
        escrow.state = State.Proposed;
        escrow.proposedAt = uint40(block.timestamp);
        // forge-lint: disable-next-line(unsafe-typecast)
        escrow.price = uint96(price); // at most the cap, which has 96 bits
        // forge-lint: disable-next-line(unsafe-typecast)
        escrow.receiptCount = uint32(receiptCount); // checked above
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

    /// @notice Returns all of the cap of a job for which nothing right was proposed in time. Anybody may call it.
    /// @param job The job.
    function refund(bytes32 job) external nonReentrant {
        Escrow storage escrow = _expect(job, State.Open);
        uint256 last = _proposalEnd(escrow);
        if (block.timestamp <= last && escrow.voided < MAX_VOIDED) revert RefundTooEarly(block.timestamp, last);
        escrow.state = State.Refunded;
        emit Refunded(job, escrow.client, escrow.cap);
        token.safeTransfer(escrow.client, escrow.cap);
    }

    // -- disputes

    /// @notice Keeps a proposal from being finalized until a ruling. Only while its challenge window is open.
    /// @param job The job.
    function dispute(bytes32 job) external onlyDisputes {
        Escrow storage escrow = _expect(job, State.Proposed);
        uint256 end = uint256(escrow.proposedAt) + challengeWindow;
        if (block.timestamp >= end) revert WindowOver(block.timestamp, end);
        escrow.state = State.Disputed;
        emit ProposalDisputed(job);
    }

    /// @notice Lets a disputed proposal stand.
    /// @param job The job.
    function dismiss(bytes32 job) external onlyDisputes {
        Escrow storage escrow = _expect(job, State.Disputed);
        escrow.state = State.Proposed;
        emit DisputeDismissed(job);
    }

    /// @notice Takes a wrong proposal away, disputed or not: the job is open again. The first time, the coordinator has
    ///         `grace` from now to propose again, even after the deadline; never more often, so that nobody's money is
    ///         held up by proposals made to be voided.
    /// @param job The job.
    function voidProposal(bytes32 job) external onlyDisputes {
        Escrow storage escrow = _escrows[job];
        if (escrow.state != State.Disputed) _expect(job, State.Proposed);
        uint8 voided = escrow.voided + 1;
        emit ProposalVoided(job, escrow.price, escrow.receiptRoot, voided);
        escrow.state = State.Open;
        escrow.proposedAt = 0;
        escrow.voided = voided;
        escrow.price = 0;
        escrow.receiptCount = 0;
        escrow.voidedAt = uint32(block.timestamp);
        escrow.receiptRoot = 0;
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

    /// @notice Whether a job is finalized or refunded.
    function isFinal(bytes32 job) external view returns (bool) {
        return _escrows[job].state >= State.Finalized;
    }

    /// @notice Whether the signature of a receipt is one of its signers' for this contract on this chain.
    function isReceiptSigned(Receipt calldata receipt, bytes calldata signature) public view returns (bool) {
        // slither-disable-next-line unused-return
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(receiptDigest(receipt), signature);
        return failure == ECDSA.RecoverError.NoError && hasRole(RECEIPT_SIGNER_ROLE, signer);
    }

    /// @notice Whether a receipt bears a receipt signer's signature, hangs on the root proposed for its job, and the
    ///         prices under that root add up to the price proposed.
    /// @param receipt The receipt.
    /// @param signature 65 bytes (r, s, v).
    /// @param proof The nodes beside the path from the leaf up.
    function verifyReceipt(Receipt calldata receipt, bytes calldata signature, ReceiptTree.Sibling[] calldata proof)
        external
        view
        returns (bool)
    {
        Escrow storage escrow = _escrows[receipt.job];
        if (escrow.receiptRoot == 0 || !isReceiptSigned(receipt, signature)) return false;
        (bytes32 root, uint256 sum, bool valid) =
            ReceiptTree.climb(receiptLeaf(receipt, signature), receipt.price, proof);
        return valid && root == escrow.receiptRoot && sum == escrow.price;
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
        // The client itself, or one that signed the order.
        // slither-disable-next-line arbitrary-send-erc20
        token.safeTransferFrom(client, address(this), cap);
    }

    /// @dev The last moment for a proposal.
    function _proposalEnd(Escrow storage escrow) private view returns (uint256 last) {
        last = uint256(escrow.deadline) + grace;
        if (escrow.voided == 1 && uint256(escrow.voidedAt) + grace > last) last = uint256(escrow.voidedAt) + grace;
    }

    function _expect(bytes32 job, State expected) private view returns (Escrow storage escrow) {
        escrow = _escrows[job];
        if (escrow.state != expected) revert WrongState(job, escrow.state, expected);
    }
}
