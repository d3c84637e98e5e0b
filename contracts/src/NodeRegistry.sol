// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IJobEnds, IPooledAccounts, IRewardPools, IStakeLocks} from "./Interfaces.sol";
import {KilnToken} from "./KilnToken.sol";
import {RegistryTypes} from "./RegistryTypes.sol";
import {StakePool} from "./StakePool.sol";

/// @title Who answers for a node, and with what
/// @notice An operator registers, names the keys of its nodes and stakes. Others may stake with it and share its rewards
///         and slashes pro rata. Part of the operator's own stake is locked for each job it was given. Leaving takes
///         `unbondingPeriod`, and what is leaving can still be slashed.
/// @dev Nobody has a role here: who locks, slashes and rewards was fixed when it was deployed.
contract NodeRegistry is RegistryTypes, EIP712("kilnet", "1"), ReentrancyGuardTransient, IStakeLocks, IRewardPools {
    using SafeERC20 for KilnToken;
    using StakePool for StakePool.Pool;

    /// @notice EIP-712 type hash of what a node's key signs to accept its operator.
    bytes32 public constant NODE_KEY_TYPEHASH = keccak256("NodeKey(address node,address operator)");
    /// @notice Most that a finder may be given of what is slashed, in 1/10000: slashing oneself has to cost.
    uint16 public constant MAX_FINDER_BPS = 5_000;

    /// @notice The token that is staked.
    KilnToken public immutable token;
    /// @notice Seconds between unbonding and withdrawing. Longer than any dispute may take.
    uint40 public immutable unbondingPeriod;
    /// @notice What the finder is given of what is slashed, in 1/10000; the rest is burned.
    uint16 public immutable finderBps;
    /// @notice Who locks, and says when a job is over: the JobEscrow.
    IJobEnds public immutable escrow;
    /// @notice Who slashes: the Disputes contract.
    address public immutable disputes;
    /// @notice Who rewards: the RewardDistributor.
    IPooledAccounts public immutable distributor;

    mapping(address operator => Operator) private _operators;
    mapping(address operator => mapping(address staker => Position)) private _positions;
    mapping(address node => Node) private _nodes;
    mapping(bytes32 job => mapping(address operator => uint96)) private _locks;

    /// @dev The caller is a contract of the deployment.
    modifier onlyFrom(address allowed) {
        if (msg.sender != allowed) revert NotAllowed(msg.sender);
        _;
    }

    /// @param token_ The token that is staked.
    /// @param unbondingPeriod_ Seconds between unbonding and withdrawing.
    /// @param finderBps_ What a finder is given of what is slashed, in 1/10000.
    /// @param escrow_ The JobEscrow, which may be deployed later.
    /// @param disputes_ The Disputes contract, the same.
    /// @param distributor_ The RewardDistributor, the same.
    constructor(
        KilnToken token_,
        uint40 unbondingPeriod_,
        uint16 finderBps_,
        IJobEnds escrow_,
        address disputes_,
        IPooledAccounts distributor_
    ) {
        if (address(token_) == address(0) || address(escrow_) == address(0)) revert ZeroAddress();
        if (disputes_ == address(0) || address(distributor_) == address(0)) revert ZeroAddress();
        if (finderBps_ > MAX_FINDER_BPS) revert ShareTooHigh(finderBps_, MAX_FINDER_BPS);
        if (unbondingPeriod_ == 0) revert NoUnbondingPeriod();
        token = token_;
        unbondingPeriod = unbondingPeriod_;
        finderBps = finderBps_;
        escrow = escrow_;
        disputes = disputes_;
        distributor = distributor_;
    }

    // -- operators and nodes

    /// @notice Makes the caller an operator.
    /// @param commissionBps What it will keep of a reward before the rest is shared with co-stakers, in 1/10000.
    function register(uint16 commissionBps) external {
        Operator storage operator = _operators[msg.sender];
        if (operator.registered) revert AlreadyRegistered(msg.sender);
        if (commissionBps > 10_000) revert ShareTooHigh(commissionBps, 10_000);
        operator.registered = true;
        operator.commissionBps = commissionBps;
        emit Registered(msg.sender, commissionBps);
    }

    /// @notice Opens to stake of others, or closes to more of it, and sets the commission. From the first opening on
    ///         the operator's rewards are shared: claim what was earned alone before.
    /// @param open Whether others may stake from now on.
    /// @param commissionBps In 1/10000; can only be lowered while others have active stake.
    function setTerms(bool open, uint16 commissionBps) external nonReentrant {
        Operator storage operator = _registered(msg.sender);
        if (commissionBps > 10_000) revert ShareTooHigh(commissionBps, 10_000);
        if (
            commissionBps > operator.commissionBps
                && operator.active.shares != operator.active.sharesOf(_positions[msg.sender][msg.sender].active)
        ) {
            revert CommissionRaised(commissionBps, operator.commissionBps);
        }
        operator.open = open;
        operator.commissionBps = commissionBps;
        emit TermsChanged(msg.sender, open, commissionBps);
        if (open && !operator.pooled) {
            operator.pooled = true;
            distributor.setPooled(msg.sender);
        }
    }

    /// @notice Makes the caller answer for a node. A key answers to one operator, for ever.
    /// @param node The address of the node's key.
    /// @param signature The key's EIP-712 signature of NodeKey(node, caller), 65 bytes.
    function addNode(address node, bytes calldata signature) external {
        _registered(msg.sender);
        if (_nodes[node].operator != address(0)) revert NodeTaken(node);
        // slither-disable-next-line unused-return
        (address signer, ECDSA.RecoverError failure,) =
            ECDSA.tryRecoverCalldata(nodeKeyDigest(node, msg.sender), signature);
        if (failure != ECDSA.RecoverError.NoError || signer != node) revert InvalidNodeSignature(node, msg.sender);
        _nodes[node].operator = msg.sender;
        emit NodeAdded(msg.sender, node);
    }

    /// @notice Ends the caller's answering for a node (a lost key, say), `unbondingPeriod` from now.
    function retireNode(address node) external {
        Node storage kept = _nodes[node];
        if (kept.operator != msg.sender || kept.retiredAt != 0) revert NotNodesOperator(node, msg.sender);
        kept.retiredAt = uint40(block.timestamp);
        emit NodeRetired(msg.sender, node);
    }

    // -- stake

    /// @notice Stakes with an operator, which may be the caller. Needs an allowance.
    function stake(address operator, uint256 amount) external nonReentrant {
        _stake(operator, msg.sender, amount);
    }

    /// @notice Stakes with an operator by a permit of the caller.
    /// @dev A refused permit is no error as long as the allowance suffices: somebody may have used it first.
    function stakeWithPermit(address operator, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        try token.permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _stake(operator, msg.sender, amount);
    }

    /// @notice Begins to leave with an amount. What is leaving already waits anew, together with it.
    /// @param operator With whom it is staked.
    /// @param amount In the smallest unit; all there is if it is 2^256 - 1.
    function unbond(address operator, uint256 amount) external nonReentrant {
        Operator storage kept = _operators[operator];
        Position storage position = _positions[operator][msg.sender];
        uint256 has = kept.active.worth(position.active);
        if (amount == type(uint256).max) amount = has;
        if (amount == 0 || amount > has) revert StakeTooSmall(operator, msg.sender, has, amount);
        kept.active.take(position.active, amount);
        if (msg.sender == operator) {
            uint256 remaining = kept.active.worth(position.active);
            if (remaining < kept.locked) revert StakeLocked(operator, remaining, kept.locked);
        }
        kept.unbonding.deposit(position.unbonding, amount);
        position.readyAt = uint40(block.timestamp) + unbondingPeriod;
        emit Unbonding(operator, msg.sender, amount, position.readyAt);
    }

    /// @notice Takes what has left for long enough. Nothing and nobody can stop it.
    /// @return amount What was paid, in the smallest unit.
    function withdraw(address operator) external nonReentrant returns (uint256 amount) {
        Operator storage kept = _operators[operator];
        Position storage position = _positions[operator][msg.sender];
        if (kept.unbonding.sharesOf(position.unbonding) == 0) revert NothingUnbonding(operator, msg.sender);
        if (block.timestamp < position.readyAt) revert StillUnbonding(block.timestamp, position.readyAt);
        amount = kept.unbonding.worth(position.unbonding);
        kept.unbonding.take(position.unbonding, amount);
        emit Withdrawn(operator, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    // -- locks

    /// @inheritdoc IStakeLocks
    /// @dev Own stake alone, so that those who stake with an operator can always leave. For the escrow.
    function lock(bytes32 job, address[] calldata operators, uint96 amount) external onlyFrom(address(escrow)) {
        for (uint256 i = 0; i < operators.length; ++i) {
            address operator = operators[i];
            Operator storage kept = _registered(operator);
            if (_locks[job][operator] != 0) revert AlreadyLocked(job, operator);
            uint256 own = kept.active.worth(_positions[operator][operator].active);
            uint256 needed = uint256(kept.locked) + amount;
            if (own < needed) revert StakeTooSmall(operator, operator, own, needed);
            // forge-lint: disable-next-line(unsafe-typecast)
            kept.locked = uint96(needed); // at most the own stake, and the supply has 96 bits
            _locks[job][operator] = amount;
            emit Locked(operator, job, amount);
        }
    }

    /// @notice Ends the locks of a job that is finalized or refunded. Anybody may call it.
    function release(bytes32 job, address[] calldata operators) external {
        if (!escrow.isFinal(job)) revert JobNotFinal(job);
        for (uint256 i = 0; i < operators.length; ++i) {
            uint96 amount = _locks[job][operators[i]];
            if (amount == 0) continue;
            delete _locks[job][operators[i]];
            _operators[operators[i]].locked -= amount;
            emit Released(operators[i], job, amount);
        }
    }

    // -- slashes and rewards

    /// @notice Takes a share of all that is staked with an operator, of what is leaving as of what stays. For Disputes.
    /// @param operator Who answers.
    /// @param bps The share, in 1/10000, rounded down.
    /// @param finder Who is given `finderBps` of it; the rest is burned.
    function slash(address operator, uint16 bps, address finder) external nonReentrant onlyFrom(disputes) {
        if (bps > 10_000) revert ShareTooHigh(bps, 10_000);
        Operator storage kept = _registered(operator);
        uint256 amount = kept.active.slash(bps) + kept.unbonding.slash(bps);
        uint256 reward = (amount * finderBps) / 10_000;
        emit Slashed(operator, finder, amount, reward);
        if (amount != reward) token.burn(amount - reward);
        if (reward != 0) token.safeTransfer(finder, reward);
    }

    /// @inheritdoc IRewardPools
    /// @dev For the distributor, which mints the rest to this contract in the same transaction.
    function credit(address operator, uint256 amount)
        external
        onlyFrom(address(distributor))
        returns (uint256 toOperator)
    {
        Operator storage kept = _operators[operator];
        toOperator = kept.active.shares == 0 ? amount : (amount * kept.commissionBps) / 10_000;
        kept.active.reward(amount - toOperator);
        emit Rewarded(operator, toOperator, amount - toOperator);
    }

    // -- views

    /// @notice All that is kept of an operator.
    function operatorOf(address operator) external view returns (Operator memory) {
        return _operators[operator];
    }

    /// @notice Who answers for a node's key now; zero if nobody does.
    function answersFor(address node) external view returns (address) {
        Node storage kept = _nodes[node];
        if (kept.retiredAt != 0 && block.timestamp >= uint256(kept.retiredAt) + unbondingPeriod) return address(0);
        return kept.operator;
    }

    /// @notice What somebody has with an operator, in the smallest unit, and when what is leaving may be taken.
    function stakeOf(address operator, address staker)
        external
        view
        returns (uint256 active, uint256 unbonding, uint40 readyAt)
    {
        Position storage position = _positions[operator][staker];
        active = _operators[operator].active.worth(position.active);
        unbonding = _operators[operator].unbonding.worth(position.unbonding);
        readyAt = position.readyAt;
    }

    /// @notice What an operator has locked for a job.
    function lockOf(bytes32 job, address operator) external view returns (uint96) {
        return _locks[job][operator];
    }

    /// @notice The digest that a node's key signs to accept its operator.
    function nodeKeyDigest(address node, address operator) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(NODE_KEY_TYPEHASH, node, operator)));
    }

    // -- inside

    function _stake(address operator, address staker, uint256 amount) private {
        Operator storage kept = _registered(operator);
        if (staker != operator && !kept.open) revert NotOpen(operator);
        uint256 allowed = token.allowance(staker, address(this));
        if (allowed < amount) revert InsufficientAllowance(staker, allowed, amount);
        // Both callers stake for whoever called.
        // slither-disable-next-line arbitrary-send-erc20
        token.safeTransferFrom(staker, address(this), amount);
        kept.active.deposit(_positions[operator][staker].active, amount);
        emit Staked(operator, staker, amount);
    }

    function _registered(address operator) private view returns (Operator storage kept) {
        kept = _operators[operator];
        if (!kept.registered) revert NotRegistered(operator);
    }
}
