// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BondTypes} from "./BondTypes.sol";
import {Disputes} from "./Disputes.sol";
import {EscrowTypes} from "./EscrowTypes.sol";
import {JobEscrow} from "./JobEscrow.sol";
import {KilnToken} from "./KilnToken.sol";
import {NodeRegistry} from "./NodeRegistry.sol";

/// @title What stands for a coordinator's word that a tile was delivered
/// @notice A coordinator signs an acknowledgement for each tile that arrives whole. A job that is finalized pays its
///         tiles by receipts, and then no acknowledgement of it is worth anything. If the job is refunded instead, since
///         the coordinator proposed no price in time, whoever answers for the node is paid from the signer's bond, and as
///         much again is burned: a word that is broken costs twice what it was worth.
/// @dev Without the burning a coordinator could take its bond out at once, by words that it signs to itself. With it, that
///      costs half of the bond, and notice costs nothing.
///      Nobody has a role here. Each signer has a bond of its own, which pays for its own signatures alone, so that taking
///      a role away from a signer takes nothing from those that have its word. Finalized and Refunded are final and exclude
///      each other in the escrow: so do a receipt's reward and a claim.
contract CoordinatorBond is BondTypes, EIP712("kilnet", "1"), ReentrancyGuardTransient {
    using SafeERC20 for KilnToken;

    /// @notice The token that is deposited and paid.
    KilnToken public immutable token;
    /// @notice Who knows how a job ended.
    JobEscrow public immutable escrow;
    /// @notice Who knows who answers for a node.
    NodeRegistry public immutable registry;
    /// @notice Seconds between notice and withdrawal: longer than a job can take to be refunded that is due within
    ///         `longestJob` of its acknowledgement, and CLAIM_TIME more.
    uint40 public immutable notice;

    mapping(address signer => Bond) private _bonds;
    mapping(address signer => mapping(bytes32 lease => uint96)) private _paid;

    /// @param escrow_ The escrow of the jobs, with all that it is wired to.
    /// @param longestJob Seconds to a job's deadline for which a bond stands; at most what the escrow takes.
    constructor(JobEscrow escrow_, uint40 longestJob) {
        uint40 most = uint40(escrow_.MAX_DURATION());
        if (longestJob > most) revert JobsTooLong(longestJob, most);
        escrow = escrow_;
        token = escrow_.token();
        registry = NodeRegistry(address(escrow_.registry()));
        // A proposal at the last moment, challenged at the end of its window and voided by the last ruling; the one that
        // the first voiding allows, the same; then only the refund is left.
        uint40 round = escrow_.grace() + escrow_.challengeWindow() + Disputes(escrow_.disputes()).rulingPeriod();
        notice = longestJob + 2 * round + CLAIM_TIME;
    }

    // -- the signer's side

    /// @notice Adds to a signer's bond, which may be the caller's. Needs an allowance.
    /// @param signer For whose acknowledgements it stands.
    /// @param amount In the smallest unit.
    function deposit(address signer, uint96 amount) external nonReentrant {
        if (amount == 0) revert NothingDeposited();
        Bond storage bond = _bonds[signer];
        bond.amount += amount;
        bond.known = true;
        emit Deposited(signer, msg.sender, amount);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Says how much of the caller's bond is to leave; it stays, and pays, until it is withdrawn. Replaces what was
    ///         said before, and begins the wait anew; 0 takes it back.
    /// @param amount In the smallest unit.
    function giveNotice(uint96 amount) external {
        Bond storage bond = _bonds[msg.sender];
        if (amount > bond.amount) revert BondTooSmall(msg.sender, bond.amount, amount);
        bond.leaving = amount;
        bond.readyAt = uint40(block.timestamp) + notice;
        emit NoticeGiven(msg.sender, amount, bond.readyAt);
    }

    /// @notice Takes what the caller gave notice of for long enough, and is left of it.
    /// @return amount What was paid, in the smallest unit.
    function withdraw() external nonReentrant returns (uint96 amount) {
        Bond storage bond = _bonds[msg.sender];
        amount = bond.leaving;
        if (amount == 0) revert NoNotice(msg.sender);
        if (block.timestamp < bond.readyAt) revert NoticeRunning(block.timestamp, bond.readyAt);
        bond.amount -= amount;
        bond.leaving = 0;
        emit BondWithdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    // -- the node's side

    /// @notice Pays what was acknowledged of a job that was refunded to whoever answers for the node now, or to the node
    ///         itself, and burns as much. Each lease once; where the bond does not cover all of it, what it does, and the
    ///         rest when there is more. Anybody may call it.
    /// @param told What was signed.
    /// @param signature 65 bytes (r, s, v).
    /// @return amount What was paid, in the smallest unit.
    function claim(Acknowledgement calldata told, bytes calldata signature)
        external
        nonReentrant
        returns (uint96 amount)
    {
        // slither-disable-next-line unused-return
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(acknowledgementDigest(told), signature);
        Bond storage bond = _bonds[signer];
        if (failure != ECDSA.RecoverError.NoError || !bond.known) revert NoBond(signer);
        EscrowTypes.State state = escrow.escrowOf(told.job).state;
        if (state != EscrowTypes.State.Refunded) revert JobNotRefunded(told.job, state);
        uint96 before = _paid[signer][told.lease];
        if (before >= told.amount) revert AcknowledgementPaid(told.lease, before);
        uint256 owed = told.amount - before;
        // Half, rounded down: twice that leaves.
        // slither-disable-next-line divide-before-multiply
        amount = bond.amount / 2;
        if (amount == 0) revert BondExhausted(signer, owed);
        // forge-lint: disable-next-line(unsafe-typecast)
        if (owed < amount) amount = uint96(owed); // below what has 96 bits
        _paid[signer][told.lease] = before + amount;
        bond.amount -= 2 * amount;
        if (bond.leaving > bond.amount) bond.leaving = bond.amount;
        address to = _payee(told.node);
        emit AcknowledgementClaimed(told.job, signer, told.lease, told.tile, to, amount, owed - amount);
        token.burn(amount);
        token.safeTransfer(to, amount);
    }

    // -- views

    /// @notice What stands for a signer's word.
    function bondOf(address signer) external view returns (Bond memory) {
        return _bonds[signer];
    }

    /// @notice What a lease was paid from a signer's bond, in the smallest unit.
    function paidOf(address signer, bytes32 lease) external view returns (uint96) {
        return _paid[signer][lease];
    }

    /// @notice The digest that a coordinator signs.
    function acknowledgementDigest(Acknowledgement calldata told) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(ACKNOWLEDGEMENT_TYPEHASH, told.job, told.tile, told.lease, told.node, told.root, told.amount)
            )
        );
    }

    // -- inside

    /// @dev Who answers for a node now, or the node itself.
    function _payee(address node) private view returns (address) {
        address operator = registry.answersFor(node);
        return operator == address(0) ? node : operator;
    }
}
