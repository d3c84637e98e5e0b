// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RegistryTypes} from "../src/RegistryTypes.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {StakePool} from "../src/StakePool.sol";
import {Base} from "./Base.sol";

/// @dev Shares: what slashes, rewards and roundings do to those who stake together.
contract CoStakingTest is Base {
    function setUp() public override {
        super.setUp();
        registerOperator(300 ether, 0, true);
        fund(staker, 1_000_000 ether);
        vm.prank(staker);
        registry.stake(operator, 100 ether);
    }

    function test_ASlashTakesFromAllProRata() public {
        vm.expectEmit();
        emit RegistryTypes.Slashed(operator, stranger, 200 ether, 40 ether);
        slash(5_000);
        vm.assertEq(activeOf(operator), 150 ether);
        vm.assertEq(activeOf(staker), 50 ether);
        vm.assertEq(token.balanceOf(stranger), 40 ether);
        vm.assertEq(token.balanceOf(address(registry)), 200 ether);
    }

    function test_WhatIsLeavingIsSlashedTheSame() public {
        vm.prank(staker);
        registry.unbond(operator, 100 ether);
        vm.warp(START + UNBONDING);
        slash(2_500);
        vm.assertEq(unbondingOf(staker), 75 ether);
        vm.assertEq(activeOf(operator), 225 ether);
        vm.prank(staker);
        vm.assertEq(registry.withdraw(operator), 75 ether);
    }

    function test_ASlashOfEverythingBeginsAnew() public {
        vm.prank(staker);
        registry.unbond(operator, 60 ether);
        slash(10_000);
        vm.assertEq(activeOf(operator) + activeOf(staker) + unbondingOf(staker), 0);
        vm.assertEq(token.balanceOf(address(registry)), 0);
        vm.startPrank(staker);
        registry.stake(operator, 10 ether);
        vm.assertEq(activeOf(staker), 10 ether);
        vm.assertEq(activeOf(operator), 0);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NothingUnbonding.selector, operator, staker));
        registry.withdraw(operator);
        vm.stopPrank();
    }

    /// @dev However often an operator is slashed, those who stake with it later can stake all there is, and leave.
    function testFuzz_SlashesNeverKeepLaterStakersFromLeaving(uint8 slashes, uint16 bps, uint96 dust) public {
        fund(operator, dust % 1 ether);
        vm.prank(staker);
        registry.unbond(operator, 1 ether);
        for (uint256 i = 0; i < slashes % 64; ++i) {
            slash(1 + bps % 10_000);
            if (dust != 0 && i % 7 == 0) {
                vm.prank(operator);
                try registry.stake(operator, 1 + dust % 1_000) {} catch {}
            }
        }
        address whale = address(0x3A1E);
        uint256 all = token.cap() - token.totalSupply();
        fund(whale, all);
        vm.startPrank(whale);
        registry.stake(operator, all);
        registry.unbond(operator, type(uint256).max);
        vm.warp(block.timestamp + UNBONDING);
        // Dust that is worth less than a share's price in units may stay behind.
        vm.assertLe(all - registry.withdraw(operator), StakePool.MAX_DILUTION);
        vm.stopPrank();
    }

    function test_RevertWhen_SlashedByMoreThanAll() public {
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.ShareTooHigh.selector, 10_001, 10_000));
        slash(10_001);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotRegistered.selector, stranger));
        vm.prank(address(disputes));
        registry.slash(stranger, 1, stranger);
    }

    /// @dev A slash so small that it rounds to nothing burns nothing and pays nothing.
    function test_ASlashOfNothing() public {
        slash(0);
        vm.assertEq(token.balanceOf(stranger), 0);
        vm.assertEq(token.balanceOf(address(registry)), 400 ether);
    }

    /// @dev Without a finder's share all of it is burned.
    function test_WithoutAFindersShareAllIsBurned() public {
        NodeRegistry strict = new NodeRegistry(token, 1, 0, escrow, address(this), rewards);
        token.approve(address(strict), 10);
        token.mint(address(this), 10);
        strict.register(0);
        strict.stake(address(this), 10);
        uint256 supply = token.totalSupply();
        strict.slash(address(this), 5_000, stranger);
        vm.assertEq(supply - token.totalSupply(), 5);
    }

    /// @dev The first to stake lifts the price of a share by a reward, so that a later deposit would round to nothing:
    ///      it costs more than it takes.
    function testFuzz_TheFirstToStakeCannotRoundOthersAway(uint96 gift, uint96 victim) public {
        address attacker = address(0xBAD);
        uint256 most = 1_000_000 ether;
        gift = uint96(1 + gift % most);
        victim = uint96(1 + victim % most);
        fund(attacker, 1);
        vm.startPrank(attacker);
        registry.register(0);
        registry.stake(attacker, 1);
        registry.setTerms(true, 0);
        vm.stopPrank();
        token.mint(address(registry), gift); // as the distributor does
        vm.prank(address(rewards));
        registry.credit(attacker, gift);
        vm.prank(staker);
        try registry.stake(attacker, victim) {
            (uint256 kept,,) = registry.stakeOf(attacker, staker);
            (uint256 attackers,,) = registry.stakeOf(attacker, attacker);
            // The virtual shares keep half of the gift or more of it than the attacker can take from the victim.
            vm.assertLe(attackers, uint256(gift) + 1);
            vm.assertLe(victim - kept, 1 + uint256(gift) / 1e6);
        } catch (bytes memory reason) {
            vm.assertEq(bytes32(bytes4(reason)), bytes32(StakePool.DepositTooSmall.selector));
            vm.assertLe(victim, 1 + uint256(gift) / 1e6);
        }
    }

    /// @dev Tokens sent to the registry belong to nobody's stake.
    function test_ADonationChangesNothing() public {
        token.mint(address(registry), 1_000 ether);
        vm.assertEq(activeOf(staker), 100 ether);
        vm.assertEq(activeOf(operator), 300 ether);
    }

    /// @dev No order of staking, leaving, rewards and slashes pays more than what came in.
    function testFuzz_RoundingNeverRaisesAnOutflow(uint64[12] calldata moves) public {
        uint256 held = token.balanceOf(address(registry));
        for (uint256 i = 0; i < moves.length; ++i) {
            uint256 amount = 1 + moves[i] / 4;
            if (moves[i] % 4 == 0) {
                vm.prank(staker);
                registry.stake(operator, amount);
            } else if (moves[i] % 4 == 1) {
                vm.prank(staker);
                try registry.unbond(operator, amount) {} catch {}
            } else if (moves[i] % 4 == 2) {
                token.mint(address(registry), amount);
                vm.prank(address(rewards));
                registry.credit(operator, amount);
            } else {
                slash(uint16(amount % 100));
            }
            held = token.balanceOf(address(registry));
            RegistryTypes.Operator memory kept = registry.operatorOf(operator);
            vm.assertEq(held, uint256(kept.active.assets) + kept.unbonding.assets);
            uint256 owed = activeOf(operator) + activeOf(staker) + unbondingOf(staker);
            vm.assertLe(owed, held);
            vm.assertLe(held - owed, 4); // nor does it keep more than a few units
        }
    }

    function slash(uint16 bps) private {
        vm.prank(address(disputes));
        registry.slash(operator, bps, stranger);
    }
}
