// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What burns: the part of JobEscrow that bounds rewards
interface IBurnCounter {
    /// @notice All that was burned so far, in the smallest unit.
    function totalBurned() external view returns (uint256);
}

/// @title The part of JobEscrow that ends a lock
interface IJobEnds {
    /// @notice Whether a job is finalized or refunded.
    function isFinal(bytes32 job) external view returns (bool);
}

/// @title The part of NodeRegistry that an escrow locks stake in
interface IStakeLocks {
    /// @notice Locks an amount of each operator's own stake until the job is final.
    function lock(bytes32 job, address[] calldata operators, uint96 amount) external;
}

/// @title The part of NodeRegistry that rewards go through
interface IRewardPools {
    /// @notice Takes note of a reward and says how much of it is the operator's own; the rest is minted to the registry.
    function credit(address operator, uint256 amount) external returns (uint256 toOperator);
}

/// @title The part of RewardDistributor that a registry tells whose rewards are shared
interface IPooledAccounts {
    /// @notice From now on an account's rewards go through the registry.
    function setPooled(address account) external;
}
