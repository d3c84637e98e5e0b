// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {StakePool} from "./StakePool.sol";

/// @title What the registry is told in: what is kept, events and errors
abstract contract RegistryTypes {
    /// @notice An operator. `pooled` is set for ever once others may stake with it.
    struct Operator {
        bool registered;
        bool open;
        bool pooled;
        uint16 commissionBps;
        uint96 locked;
        StakePool.Pool active;
        StakePool.Pool unbonding;
    }

    /// @notice What somebody has with an operator: of both pools, and when what leaves may go.
    struct Position {
        StakePool.Holding active;
        StakePool.Holding unbonding;
        uint40 readyAt;
    }

    /// @notice A node's key: who answers for it, and since when no longer (0: still).
    struct Node {
        address operator;
        uint40 retiredAt;
    }

    /// @notice An operator appeared.
    event Registered(address indexed operator, uint16 commissionBps);
    /// @notice An operator changed its terms for co-stakers.
    event TermsChanged(address indexed operator, bool open, uint16 commissionBps);
    /// @notice An operator answers for a node.
    event NodeAdded(address indexed operator, address indexed node);
    /// @notice An operator answers for a node no longer, `unbondingPeriod` from now.
    event NodeRetired(address indexed operator, address indexed node);
    /// @notice Somebody staked with an operator.
    event Staked(address indexed operator, address indexed staker, uint256 amount);
    /// @notice Somebody began to leave with an amount.
    event Unbonding(address indexed operator, address indexed staker, uint256 amount, uint40 readyAt);
    /// @notice Somebody left with an amount.
    event Withdrawn(address indexed operator, address indexed staker, uint256 amount);
    /// @notice Own stake was locked for a job.
    event Locked(address indexed operator, bytes32 indexed job, uint96 amount);
    /// @notice A job is over and its lock gone.
    event Released(address indexed operator, bytes32 indexed job, uint96 amount);
    /// @notice All who stake with an operator lost an amount; `reward` of it went to the finder, the rest was burned.
    event Slashed(address indexed operator, address indexed finder, uint256 amount, uint256 reward);
    /// @notice A reward was divided: `toOperator` to the operator itself, `toPool` to all who stake with it.
    event Rewarded(address indexed operator, uint256 toOperator, uint256 toPool);

    /// @notice An address that must be something is zero.
    error ZeroAddress();
    /// @notice A share is above what is allowed.
    error ShareTooHigh(uint256 bps, uint256 most);
    /// @notice Unbonding takes longer than no time.
    error NoUnbondingPeriod();
    /// @notice Registered before.
    error AlreadyRegistered(address operator);
    /// @notice No such operator.
    error NotRegistered(address operator);
    /// @notice Somebody answers for that node already, or did.
    error NodeTaken(address node);
    /// @notice The node's key did not sign that this operator answers for it.
    error InvalidNodeSignature(address node, address operator);
    /// @notice The caller does not answer for that node, or not any longer.
    error NotNodesOperator(address node, address caller);
    /// @notice The operator takes no stake of others.
    error NotOpen(address operator);
    /// @notice While others stake with the operator, it cannot ask more of them.
    error CommissionRaised(uint16 asked, uint16 present);
    /// @notice The allowance does not cover the stake.
    error InsufficientAllowance(address client, uint256 allowed, uint256 cap);
    /// @notice An amount is more than there is.
    error StakeTooSmall(address operator, address staker, uint256 has, uint256 needed);
    /// @notice What remains would not cover the locks of open jobs.
    error StakeLocked(address operator, uint256 remaining, uint256 locked);
    /// @notice Nothing is leaving.
    error NothingUnbonding(address operator, address staker);
    /// @notice It cannot be taken yet.
    error StillUnbonding(uint256 time, uint256 readyAt);
    /// @notice Stake of the operator is locked for that job already.
    error AlreadyLocked(bytes32 job, address operator);
    /// @notice The job is not over.
    error JobNotFinal(bytes32 job);
    /// @notice The caller is not the contract that may do that.
    error NotAllowed(address caller);
}
