// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RewardDistributor} from "../../src/RewardDistributor.sol";
import {World} from "./World.sol";

/// @dev Plays the coordinator that posts roots, the guardian, and whoever claims.
abstract contract Rewards is World {
    uint256[2] internal posted;
    uint256[2] internal active;
    uint256[2] internal claimedSoFar;

    function postRoot() public {
        if (earned[0] + earned[1] == posted[0] + posted[1]) finalize(uint256(keccak256(abi.encode(block.timestamp))));
        uint256 total = earned[0] + earned[1];
        (bytes32 one, bytes32 two) = leaves(earned);
        uint64 epoch = parts.rewards.lastEpoch() + 1;
        promote();
        vm.prank(parts.coordinator);
        parts.rewards.postRoot(epoch, pair(one, two), total);
        posted = earned;
    }

    /// @dev More than 95% of what was burned: has to be refused.
    function postGreedy(uint96 more) external {
        promote();
        uint64 epoch = parts.rewards.lastEpoch() + 1;
        uint256 total = (parts.escrow.totalBurned() * 95) / 100 + 1 + more;
        vm.prank(parts.coordinator);
        try parts.rewards.postRoot(epoch, "root", total) {
            blame("rewards above what was burned");
        } catch {}
    }

    function veto() external {
        postRoot();
        vm.prank(parts.guardian);
        parts.rewards.veto();
        posted = active;
    }

    function claim(uint256 which) external {
        promote();
        uint256 i = which % 2;
        if (active[i] == claimedSoFar[i]) {
            postRoot();
            promote();
        }
        (bytes32 one, bytes32 two) = leaves(active);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = i == 0 ? two : one;
        uint256 amount = parts.rewards.claim(operators[i], active[i], proof);
        if (amount != active[i] - claimedSoFar[i]) blame("claimed another amount");
        claimedSoFar[i] = active[i];
    }

    function claimMany() external {
        promote();
        if (active[0] + active[1] == claimedSoFar[0] + claimedSoFar[1]) {
            postRoot();
            promote();
        }
        (bytes32 one, bytes32 two) = leaves(active);
        RewardDistributor.Claim[] memory both = new RewardDistributor.Claim[](3);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = two;
        both[0] = RewardDistributor.Claim(operators[0], active[0], proof);
        both[2] = both[0];
        proof = new bytes32[](1);
        proof[0] = one;
        both[1] = RewardDistributor.Claim(operators[1], active[1], proof);
        uint256 amount = parts.rewards.claimMany(both);
        if (amount != active[0] + active[1] - claimedSoFar[0] - claimedSoFar[1]) blame("claimed another amount");
        claimedSoFar = active;
    }

    function finalize(uint256 pick) public virtual;

    /// @dev Whether the distributor remembers what was claimed, and it only ever grew.
    function claimsHold() external view returns (bool) {
        return parts.rewards.claimed(operators[0]) == claimedSoFar[0]
            && parts.rewards.claimed(operators[1]) == claimedSoFar[1]
            && parts.rewards.totalClaimed() == claimedSoFar[0] + claimedSoFar[1];
    }

    function promote() private {
        uint40 activeAt = parts.rewards.pendingEpoch().activeAt;
        if (activeAt > block.timestamp) vm.warp(activeAt);
        active = posted;
    }

    function leaves(uint256[2] memory amounts) private view returns (bytes32, bytes32) {
        return (parts.rewards.rewardLeaf(operators[0], amounts[0]), parts.rewards.rewardLeaf(operators[1], amounts[1]));
    }

    function pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encodePacked(a, b)) : keccak256(abi.encodePacked(b, a));
    }
}
