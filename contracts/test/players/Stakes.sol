// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RegistryTypes} from "../../src/RegistryTypes.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {SignedMessages} from "../../src/SignedMessages.sol";
import {StakePool} from "../../src/StakePool.sol";
import {World} from "./World.sol";

/// @dev Plays operators, co-stakers and whoever finds a contradiction.
abstract contract Stakes is World {
    function stake(uint256 who, uint256 where, uint96 amount) public virtual {
        (address owner, address operator) = choose(who, where);
        amount = 1 + amount % MOST;
        parts.token.transfer(owner, amount);
        vm.prank(owner);
        parts.token.approve(address(parts.registry), amount);
        vm.prank(owner);
        parts.registry.stake(operator, amount);
    }

    function unbond(uint256 who, uint256 where, uint96 amount, bool all) public {
        (address owner, address operator) = choose(who, where);
        (uint256 active,,) = parts.registry.stakeOf(operator, owner);
        uint256 locked = owner == operator ? parts.registry.operatorOf(operator).locked : 0;
        if (active <= locked) {
            stake(who, where, uint96(locked - active) + amount % 1e24);
            (active,,) = parts.registry.stakeOf(operator, owner);
        }
        // Before the prank: a call that fails between it and its use would leave it to another player.
        uint256 leaving = all ? active - locked : 1 + amount % (active - locked);
        vm.prank(owner);
        parts.registry.unbond(operator, leaving);
    }

    function withdraw(uint256 who, uint256 where) external {
        (address owner, address operator) = choose(who, where);
        (, uint256 unbonding, uint40 readyAt) = parts.registry.stakeOf(operator, owner);
        if (unbonding == 0) {
            unbond(who, where, uint96(who), true);
            (, unbonding, readyAt) = parts.registry.stakeOf(operator, owner);
        }
        if (block.timestamp < readyAt) {
            vm.prank(owner);
            try parts.registry.withdraw(operator) {
                blame("withdrawn before the time");
            } catch {}
            vm.warp(readyAt);
        }
        uint256 before = parts.token.balanceOf(owner);
        vm.prank(owner);
        parts.registry.withdraw(operator);
        if (parts.token.balanceOf(owner) != before + unbonding) blame("withdrawn another amount");
    }

    /// @dev A node commits to two results, and loses half of all that is staked with its operator.
    function equivocate(uint256 which) external {
        uint256 key = nodeKeys[which % 2];
        address operator = operators[which % 2];
        if (which % 8 > 1) stake(0, 1 - which % 2, uint96(which));
        bytes32 lease = keccak256(abi.encode("lease", ++leases));
        SignedMessages.Commitment memory one = SignedMessages.Commitment(lease, 1, "one", 64);
        SignedMessages.Commitment memory two = SignedMessages.Commitment(lease, 1, "two", 64);
        uint256 leaving = parts.registry.operatorOf(operator).unbonding.assets;
        uint256 bps = parts.disputes.equivocationBps();
        uint256 amount = expectedSlash(operator, bps);
        if (amount == 0) revert("no stake");
        bytes memory first = signDigest(key, parts.escrow.commitmentDigest(one));
        bytes memory second = signDigest(key, parts.escrow.commitmentDigest(two));
        vm.prank(finder);
        parts.disputes.proveEquivocation(one, first, two, second);
        slashesBurned += amount - (amount * parts.registry.finderBps()) / 10_000;
        if (parts.registry.operatorOf(operator).unbonding.assets > leaving - (leaving * bps) / 10_000) {
            blame("what was leaving escaped the slash");
        }
    }

    /// @dev All that is worth something to somebody, and all that is there.
    function owed(uint256 which) external view returns (uint256 sum, uint256 held) {
        address operator = operators[which];
        RegistryTypes.Operator memory kept = parts.registry.operatorOf(operator);
        held = uint256(kept.active.assets) + kept.unbonding.assets;
        address[4] memory owners = [operators[0], operators[1], stakers[0], stakers[1]];
        for (uint256 i = 0; i < 4; ++i) {
            (uint256 active, uint256 unbonding,) = parts.registry.stakeOf(operator, owners[i]);
            sum += active + unbonding;
        }
    }

    /// @dev Everybody leaves with all they have; nothing may stand in the way.
    function leaveAll() external {
        address[4] memory owners = [operators[0], operators[1], stakers[0], stakers[1]];
        for (uint256 phase = 0; phase < 2; ++phase) {
            for (uint256 i = 0; i < 8; ++i) {
                (address operator, address owner) = (operators[i % 2], owners[i / 2]);
                (uint256 active, uint256 unbonding,) = parts.registry.stakeOf(operator, owner);
                if (phase == 0 ? active == 0 : unbonding == 0) continue;
                vm.prank(owner);
                if (phase == 0) parts.registry.unbond(operator, type(uint256).max);
                else parts.registry.withdraw(operator);
            }
            vm.warp(block.timestamp + parts.registry.unbondingPeriod());
        }
    }

    /// @dev What a slash takes, reckoned from what is there before it.
    function expectedSlash(address operator, uint256 bps) internal view virtual returns (uint256) {
        RegistryTypes.Operator memory kept = parts.registry.operatorOf(operator);
        return part(kept.active, bps) + part(kept.unbonding, bps);
    }

    function part(StakePool.Pool memory pool, uint256 bps) private pure returns (uint256 amount) {
        amount = (uint256(pool.assets) * bps) / 10_000;
        uint256 left = pool.assets - amount;
        if (uint256(pool.shares) + 1e6 > 4_096e6 * (left + 1)) amount = pool.assets;
    }

    function choose(uint256 who, uint256 where) private view returns (address owner, address operator) {
        operator = operators[where % 4 == 0 ? 1 : 0];
        owner = operator == operators[0] && who % 3 != 0 ? stakers[who % 2] : operator;
    }
}
