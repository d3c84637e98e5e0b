// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Auditors} from "./Auditors.sol";
import {DisputeTypes} from "./DisputeTypes.sol";
import {EscrowTypes} from "./EscrowTypes.sol";
import {JobEscrow} from "./JobEscrow.sol";
import {KilnToken} from "./KilnToken.sol";
import {RegistryTypes} from "./RegistryTypes.sol";
import {NodeRegistry} from "./NodeRegistry.sol";
import {ReceiptTree} from "./ReceiptTree.sol";
import {SignedMessages} from "./SignedMessages.sol";

/// @title What happens where somebody says that it is not so
/// @notice What a chain can check is proven here and has its consequence at once: a node that committed to two results
///         is slashed; a proposal with a receipt that nobody signed, with a tile twice or with a wrong sum is voided. For
///         the rest somebody puts up a bond, and auditors decide.
/// @dev It holds nothing but the bonds of open challenges.
contract Disputes is DisputeTypes, EIP712("kilnet", "1"), Auditors, ReentrancyGuardTransient {
    using SafeERC20 for KilnToken;

    /// @notice EIP-712 type hash of what auditors sign.
    bytes32 public constant RULING_TYPEHASH = keccak256("Ruling(uint256 challenge,bool upheld,uint16 slashBps)");

    /// @notice The token that bonds are of.
    KilnToken public immutable token;
    /// @notice Whose proposals are disputed.
    JobEscrow public immutable escrow;
    /// @notice Whose operators are slashed.
    NodeRegistry public immutable registry;
    /// @notice What a challenge costs until it is decided.
    uint96 public immutable bond;
    /// @notice Seconds that the auditors have.
    uint40 public immutable rulingPeriod;
    /// @notice What equivocation costs, in 1/10000 of all that is staked with the operator.
    uint16 public immutable equivocationBps;
    /// @notice The most that a ruling may slash, in 1/10000.
    uint16 public immutable maxRulingBps;

    /// @notice How many challenges there were; the first is number 1.
    uint256 public challenges;
    /// @notice The open challenge of a job's proposal; 0 if there is none.
    mapping(bytes32 job => uint256) public openChallenge;

    mapping(uint256 challenge => Challenge) private _challenges;
    mapping(bytes32 proposal => bool) private _challenged;
    mapping(bytes32 commitment => bool) private _proven;

    /// @param escrow_ Whose proposals are disputed.
    /// @param registry_ Whose operators are slashed.
    /// @param admin Who announces panels of auditors.
    /// @param auditors The first panel.
    /// @param threshold How many of them must sign.
    /// @param terms What is fixed.
    constructor(
        JobEscrow escrow_,
        NodeRegistry registry_,
        address admin,
        address[] memory auditors,
        uint8 threshold,
        Terms memory terms
    ) Auditors(admin, auditors, threshold, registry_.unbondingPeriod() + terms.rulingPeriod) {
        if (admin == address(0)) revert ZeroAddress();
        if (terms.equivocationBps > 10_000) revert ShareTooHigh(terms.equivocationBps, 10_000);
        if (terms.maxRulingBps > 10_000) revert ShareTooHigh(terms.maxRulingBps, 10_000);
        uint256 needed = uint256(escrow_.challengeWindow()) + terms.rulingPeriod;
        uint256 unbonding = registry_.unbondingPeriod();
        if (unbonding <= needed) revert UnbondingTooShort(unbonding, needed);
        token = escrow_.token();
        escrow = escrow_;
        registry = registry_;
        bond = terms.bond;
        rulingPeriod = terms.rulingPeriod;
        equivocationBps = terms.equivocationBps;
        maxRulingBps = terms.maxRulingBps;
    }

    // -- what the chain checks by itself

    /// @notice Shows two commitments of one node for the same lease and fencing token, and has its operator slashed.
    function proveEquivocation(
        SignedMessages.Commitment calldata first,
        bytes calldata firstSignature,
        SignedMessages.Commitment calldata second,
        bytes calldata secondSignature
    ) external nonReentrant {
        if (first.lease != second.lease || first.token != second.token) {
            revert NoEquivocation();
        }
        if (first.root == second.root && first.cells == second.cells) revert NoEquivocation();
        // slither-disable-next-line unused-return
        (address node, ECDSA.RecoverError failure,) =
            ECDSA.tryRecoverCalldata(escrow.commitmentDigest(first), firstSignature);
        // slither-disable-next-line unused-return
        (address other,,) = ECDSA.tryRecoverCalldata(escrow.commitmentDigest(second), secondSignature);
        if (failure != ECDSA.RecoverError.NoError || node != other) revert NoEquivocation();
        address operator = registry.answersFor(node);
        if (operator == address(0)) revert UnknownNode(node);
        bytes32 key = keccak256(abi.encode(node, first.lease, first.token));
        if (_proven[key]) revert AlreadyProven(node, first.lease, first.token);
        _proven[key] = true;
        emit EquivocationProven(node, operator, first.lease, first.token, msg.sender);
        registry.slash(operator, equivocationBps, msg.sender);
    }

    /// @notice Shows a receipt under a job's root that no receipt signer signed, or that is another job's.
    function proveInvalidReceipt(bytes32 job, Leaf calldata leaf) external nonReentrant {
        _expectUnderRoot(job, leaf);
        if (leaf.receipt.job != job) _voidFaulty(job, Fault.ForeignReceipt);
        else if (!escrow.isReceiptSigned(leaf.receipt, leaf.signature)) _voidFaulty(job, Fault.UnsignedReceipt);
        else revert NoFault(job);
    }

    /// @notice Shows one tile twice under a job's root: two receipts, or one receipt in two places.
    function proveDuplicateTile(bytes32 job, Leaf calldata first, Leaf calldata second) external nonReentrant {
        bytes32 one = _expectUnderRoot(job, first);
        bytes32 two = _expectUnderRoot(job, second);
        bool apart = one != two || keccak256(abi.encode(first.path)) != keccak256(abi.encode(second.path))
            || ReceiptTree.hasTwin(one, first.receipt.price, first.path);
        if (first.receipt.tile != second.receipt.tile || !apart) revert NoFault(job);
        _voidFaulty(job, Fault.DuplicateTile);
    }

    /// @notice Shows a path from a receipt to a job's root on which a sum is not what lies below it, or not the price.
    /// @param job The job.
    /// @param receipt A receipt under the root.
    /// @param signature Its signature.
    /// @param path From the leaf up: what each node's parent says that it sums up to, and the node beside it.
    function proveWrongSum(
        bytes32 job,
        SignedMessages.Receipt calldata receipt,
        bytes calldata signature,
        ReceiptTree.Claim[] calldata path
    ) external nonReentrant {
        EscrowTypes.Escrow memory kept = escrow.escrowOf(job);
        (bytes32 root, bool honest) =
            ReceiptTree.climbClaims(escrow.receiptLeaf(receipt, signature), receipt.price, path, kept.price);
        if (kept.receiptRoot == 0 || root != kept.receiptRoot) revert NotUnderRoot(job);
        if (honest) revert NoFault(job);
        _voidFaulty(job, Fault.WrongSum);
    }

    // -- what auditors decide

    /// @notice Puts up the bond and asks the auditors. A proposal cannot be finalized until they have ruled.
    /// @param job Whose proposal is challenged, while its window is open; 0 for none.
    /// @param operator Who is challenged; 0 for nobody.
    /// @param evidence Hash of what the auditors are shown.
    /// @return id The number of the challenge.
    function challenge(bytes32 job, address operator, bytes32 evidence) external nonReentrant returns (uint256 id) {
        if (job == 0 && operator == address(0)) revert NothingChallenged();
        if (operator != address(0) && !registry.operatorOf(operator).registered) {
            revert RegistryTypes.NotRegistered(operator);
        }
        id = ++challenges;
        _challenges[id] = Challenge(msg.sender, uint40(block.timestamp), Outcome.Open, bond, operator, job);
        emit Challenged(id, job, operator, msg.sender, evidence);
        if (job != 0) {
            bytes32 proposal = keccak256(abi.encode(job, escrow.escrowOf(job).voided));
            if (_challenged[proposal]) revert AlreadyChallenged(job);
            _challenged[proposal] = true;
            openChallenge[job] = id;
            escrow.dispute(job);
        }
        token.safeTransferFrom(msg.sender, address(this), bond);
    }

    /// @notice Carries out a ruling. Anybody may send it.
    /// @param id The challenge.
    /// @param upheld Whether it is right.
    /// @param slashBps What the operator loses, in 1/10000 of all that is staked with it.
    /// @param signatures Of at least as many auditors as it takes, in the ascending order of their addresses.
    function rule(uint256 id, bool upheld, uint16 slashBps, bytes[] calldata signatures) external nonReentrant {
        Challenge storage kept = _expectOpen(id);
        uint256 end = uint256(kept.openedAt) + rulingPeriod;
        if (block.timestamp > end) revert RulingTooLate(block.timestamp, end);
        if (slashBps > maxRulingBps) revert ShareTooHigh(slashBps, maxRulingBps);
        address operator = kept.operator;
        if (slashBps != 0 && (!upheld || operator == address(0))) revert NobodyToSlash();
        _checkSignatures(rulingDigest(id, upheld, slashBps), signatures);
        if (upheld) {
            if (kept.job != 0) _void(kept.job, Fault.Ruling, kept.challenger);
            _close(id, Outcome.Upheld, slashBps);
            if (slashBps != 0) registry.slash(operator, slashBps, kept.challenger);
        } else {
            _letStand(kept.job);
            _close(id, Outcome.Dismissed, 0);
        }
    }

    /// @notice Ends a challenge that the auditors left undecided: the proposal stands, the bond is returned. Anybody may call it.
    function lapse(uint256 id) external nonReentrant {
        Challenge storage kept = _expectOpen(id);
        uint256 end = uint256(kept.openedAt) + rulingPeriod;
        if (block.timestamp <= end) revert RulingPending(block.timestamp, end);
        _letStand(kept.job);
        _close(id, Outcome.Lapsed, 0);
    }

    // -- views

    /// @notice All that is kept of a challenge.
    function challengeOf(uint256 id) external view returns (Challenge memory) {
        return _challenges[id];
    }

    /// @notice The digest that auditors sign.
    function rulingDigest(uint256 id, bool upheld, uint16 slashBps) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(RULING_TYPEHASH, id, upheld, slashBps)));
    }

    // -- inside

    function _expectOpen(uint256 id) private view returns (Challenge storage kept) {
        kept = _challenges[id];
        if (kept.outcome != Outcome.Open) revert ChallengeNotOpen(id);
    }

    /// @dev Returns the leaf if it hangs on the root that is proposed for the job.
    function _expectUnderRoot(bytes32 job, Leaf calldata leaf) private view returns (bytes32 hash) {
        hash = escrow.receiptLeaf(leaf.receipt, leaf.signature);
        // slither-disable-next-line unused-return
        (bytes32 root,,) = ReceiptTree.climb(hash, leaf.receipt.price, leaf.path);
        bytes32 proposed = escrow.escrowOf(job).receiptRoot;
        if (proposed == 0 || root != proposed) revert NotUnderRoot(job);
    }

    /// @dev Voids a proposal that was proven wrong. Whoever had challenged it was right.
    function _voidFaulty(bytes32 job, Fault fault) private {
        uint256 id = openChallenge[job];
        // Every way here is guarded against reentrance, and the escrow is ours.
        // slither-disable-next-line reentrancy-events
        _void(job, fault, msg.sender);
        if (id != 0) _close(id, Outcome.Upheld, 0);
    }

    function _void(bytes32 job, Fault fault, address finder) private {
        delete openChallenge[job];
        emit ProposalFaulty(job, fault, finder);
        escrow.voidProposal(job);
    }

    function _letStand(bytes32 job) private {
        if (job == 0) return;
        delete openChallenge[job];
        escrow.dismiss(job);
    }

    function _close(uint256 id, Outcome outcome, uint16 slashBps) private {
        Challenge storage kept = _challenges[id];
        kept.outcome = outcome;
        emit ChallengeClosed(id, outcome, slashBps);
        if (kept.bond == 0) return;
        if (outcome == Outcome.Dismissed) token.burn(kept.bond);
        else token.safeTransfer(kept.challenger, kept.bond);
    }
}
