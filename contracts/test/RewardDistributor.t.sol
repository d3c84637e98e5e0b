// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IBurnCounter, IRewardPools} from "../src/Interfaces.sol";
import {KilnToken} from "../src/KilnToken.sol";
import {RegistryTypes} from "../src/RegistryTypes.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {RewardDistributor} from "../src/RewardDistributor.sol";
import {Base} from "./Base.sol";

/// @dev Has burned more than 96 bits hold.
contract HugeCounter is IBurnCounter {
    uint256 public constant totalBurned = 2 ** 200;
}

contract RewardDistributorTest is Base {
    address private other = address(0x07E6);

    function setUp() public override {
        super.setUp();
        settleJob(JOB, CAP); // burns 95, so that 90.25 may be minted
    }

    function test_RevertWhen_DeployedWrong() public {
        vm.expectRevert(RewardDistributor.ZeroAddress.selector);
        new RewardDistributor(KilnToken(address(0)), escrow, registry, address(this), 0);
        vm.expectRevert(RewardDistributor.ZeroAddress.selector);
        new RewardDistributor(token, IBurnCounter(address(0)), registry, address(this), 0);
        vm.expectRevert(RewardDistributor.ZeroAddress.selector);
        new RewardDistributor(token, escrow, IRewardPools(address(0)), address(this), 0);
        vm.expectRevert(RewardDistributor.ZeroAddress.selector);
        new RewardDistributor(token, escrow, registry, address(0), 0);
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.VetoWindowTooLong.selector, 90 days + 1));
        new RewardDistributor(token, escrow, registry, address(this), 90 days + 1);
    }

    function test_RevertWhen_StrangerPostsOrVetoes() public {
        bytes4 refusal = IAccessControl.AccessControlUnauthorizedAccount.selector;
        vm.expectRevert(abi.encodeWithSelector(refusal, stranger, rewards.COORDINATOR_ROLE()));
        vm.prank(stranger);
        rewards.postRoot(1, ROOT, 1);
        vm.expectRevert(abi.encodeWithSelector(refusal, coordinator, rewards.GUARDIAN_ROLE()));
        vm.prank(coordinator);
        rewards.veto();
    }

    function test_RevertWhen_RootOrTotalIsZero() public {
        vm.expectRevert(RewardDistributor.EmptyRoot.selector);
        post(1, 0, 1);
        vm.expectRevert(RewardDistributor.EmptyRoot.selector);
        post(1, ROOT, 0);
    }

    function testFuzz_RevertWhen_EpochIsNotTheNext(uint64 epoch) public {
        vm.assume(epoch != 1);
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.WrongEpoch.selector, epoch, 1));
        post(epoch, ROOT, 1);
    }

    function test_RevertWhen_PostedTwice() public {
        post(1, ROOT, 1);
        vm.warp(block.timestamp + VETO);
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.WrongEpoch.selector, 1, 2));
        post(1, ROOT, 1);
    }

    function testFuzz_TotalIsAtMost95PercentOfBurned(uint96 price, uint256 total) public {
        price = uint96(1 + price % CAP);
        vm.assume(total != 0);
        settleJob(ROOT, price);
        uint256 limit = (escrow.totalBurned() * 95) / 100;
        if (total > limit) {
            vm.expectRevert(abi.encodeWithSelector(RewardDistributor.TotalAboveBurned.selector, total, limit));
        }
        post(1, ROOT, total);
    }

    function test_TotalMayBeExactlyTheLimit() public {
        uint256 limit = (escrow.totalBurned() * 95) / 100;
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.TotalAboveBurned.selector, limit + 1, limit));
        post(1, ROOT, limit + 1);
        post(1, ROOT, limit);
    }

    function test_RevertWhen_TotalDecreases() public {
        post(1, ROOT, 10);
        vm.warp(block.timestamp + VETO);
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.TotalDecreased.selector, 9, 10));
        post(2, ROOT, 9);
        post(2, ROOT, 10);
    }

    function test_RevertWhen_PostedOverAPendingRoot() public {
        post(1, ROOT, 10);
        uint40 activeAt = uint40(block.timestamp + VETO);
        vm.warp(activeAt - 1);
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.RootStillPending.selector, 1, activeAt));
        post(2, ROOT, 10);
    }

    function test_ClaimAfterTheVetoWindowAndNotBefore() public {
        bytes32[] memory proof = postPair(1, 10, 5);
        vm.warp(block.timestamp + VETO - 1);
        expectInvalid(node, 10);
        rewards.claim(node, 10, proof);
        vm.assertEq(rewards.pendingEpoch().number, 1);
        vm.assertEq(rewards.activeEpoch().number, 0);
        vm.warp(block.timestamp + 1);
        vm.assertEq(rewards.pendingEpoch().number, 0);
        vm.assertEq(rewards.activeEpoch().number, 1);
        vm.expectEmit();
        emit RewardDistributor.Claimed(node, 10, 10);
        vm.prank(stranger);
        vm.assertEq(rewards.claim(node, 10, proof), 10);
        vm.assertEq(token.balanceOf(node), 10);
        vm.assertEq(rewards.lastEpoch(), 1);
    }

    function test_WithoutAWindowARootIsActiveAtOnce() public {
        rewards = new RewardDistributor(token, escrow, registry, address(this), 0);
        rewards.grantRole(rewards.COORDINATOR_ROLE(), coordinator);
        rewards.grantRole(rewards.GUARDIAN_ROLE(), guardian);
        token.grantRole(token.MINTER_ROLE(), address(rewards));
        bytes32[] memory proof = postPair(1, 10, 5);
        rewards.claim(node, 10, proof);
        vm.expectRevert(RewardDistributor.NothingToVeto.selector);
        vm.prank(guardian);
        rewards.veto();
        proof = postPair(2, 12, 5);
        vm.assertEq(rewards.claim(node, 12, proof), 2);
    }

    function test_OldClaimsGoOnWhileARootIsPending() public {
        bytes32[] memory proof = postPair(1, 10, 5);
        vm.warp(block.timestamp + VETO);
        postPair(2, 20, 5);
        vm.assertEq(rewards.claim(node, 10, proof), 10);
    }

    function test_VetoWithdrawsARootAndUsesItsNumberUp() public {
        bytes32[] memory proof = postPair(1, 10, 5);
        vm.prank(guardian);
        rewards.veto();
        vm.warp(block.timestamp + VETO);
        expectInvalid(node, 10);
        rewards.claim(node, 10, proof);
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.WrongEpoch.selector, 1, 2));
        post(1, ROOT, 10);
        post(2, ROOT, 3); // a vetoed total does not bind
    }

    function test_VetoLeavesTheActiveRoot() public {
        bytes32[] memory proof = postPair(1, 10, 5);
        vm.warp(block.timestamp + VETO);
        postPair(2, 20, 5);
        vm.prank(guardian);
        rewards.veto();
        vm.warp(block.timestamp + VETO);
        vm.assertEq(rewards.claim(node, 10, proof), 10);
        vm.assertEq(rewards.lastEpoch(), 2);
    }

    function test_RevertWhen_NothingToVeto() public {
        vm.expectRevert(RewardDistributor.NothingToVeto.selector);
        vm.prank(guardian);
        rewards.veto();
        post(1, ROOT, 10);
        vm.warp(block.timestamp + VETO);
        vm.expectRevert(RewardDistributor.NothingToVeto.selector);
        vm.prank(guardian);
        rewards.veto();
    }

    function test_RevertWhen_ClaimedTwice() public {
        bytes32[] memory proof = postPair(1, 10, 5);
        vm.warp(block.timestamp + VETO);
        rewards.claim(node, 10, proof);
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.NothingToClaim.selector, node, 10));
        rewards.claim(node, 10, proof);
        vm.assertEq(token.balanceOf(node), 10);
    }

    function testFuzz_RevertWhen_ProofIsWrong(address account, uint256 cumulative, bytes32[] calldata proof) public {
        postPair(1, 10, 5);
        vm.warp(block.timestamp + VETO);
        expectInvalid(account, cumulative);
        rewards.claim(account, cumulative, proof);
    }

    function test_RevertWhen_LeavesExceedTheTotal() public {
        bytes32 mine = rewards.rewardLeaf(node, 10);
        bytes32 theirs = rewards.rewardLeaf(other, 10);
        post(1, hashPair(mine, theirs), 15);
        vm.warp(block.timestamp + VETO);
        rewards.claim(node, 10, one(theirs));
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.ClaimsAboveTotal.selector, 20, 15));
        rewards.claim(other, 10, one(mine));
    }

    function test_ClaimManySkipsWhatIsClaimed() public {
        bytes32[] memory proof = postPair(1, 10, 5);
        vm.warp(block.timestamp + VETO);
        rewards.claim(node, 10, proof);
        RewardDistributor.Claim[] memory claims = bothClaims(10, 5);
        vm.assertEq(rewards.claimMany(claims), 5);
        vm.assertEq(rewards.claimMany(claims), 0);
        vm.assertEq(token.balanceOf(node), 10);
        vm.assertEq(token.balanceOf(other), 5);
        vm.assertEq(rewards.totalClaimed(), 15);
    }

    function test_RevertWhen_OneOfManyIsWrong() public {
        postPair(1, 10, 5);
        vm.warp(block.timestamp + VETO);
        RewardDistributor.Claim[] memory claims = bothClaims(10, 6);
        expectInvalid(other, 6);
        rewards.claimMany(claims);
        vm.assertEq(token.balanceOf(node), 0);
    }

    function testFuzz_CumulativeClaimsPayTheDifference(uint64 first, uint64 second) public {
        bytes32[] memory proof = postPair(1, uint256(first) + 1, 1);
        vm.warp(block.timestamp + VETO);
        rewards.claim(node, uint256(first) + 1, proof);
        uint256 later = uint256(first) + 2 + second;
        proof = postPair(2, later, 1);
        vm.warp(block.timestamp + VETO);
        vm.assertEq(rewards.claim(node, later, proof), uint256(second) + 1);
        vm.assertEq(token.balanceOf(node), later);
        vm.assertEq(rewards.claimed(node), later);
    }

    function test_RevertWhen_StrangerPools() public {
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.NotRegistry.selector, stranger));
        vm.prank(stranger);
        rewards.setPooled(node);
    }

    /// @dev What a pooled operator earns goes through the registry: commission to it, the rest to all who stake.
    function test_APooledOperatorsRewardsAreShared() public {
        registerOperator(30 ether, 1_000, true);
        fund(staker, 10 ether);
        vm.prank(staker);
        registry.stake(operator, 10 ether);
        vm.assertTrue(rewards.isPooled(operator));
        post(1, rewards.rewardLeaf(operator, 40 ether), 40 ether);
        vm.warp(block.timestamp + VETO);
        vm.expectEmit();
        emit RegistryTypes.Rewarded(operator, 4 ether, 36 ether);
        vm.assertEq(rewards.claim(operator, 40 ether, new bytes32[](0)), 40 ether);
        vm.assertEq(token.balanceOf(operator), 4 ether);
        vm.assertEq(token.balanceOf(address(registry)), 76 ether);
        // 27 and 9, but for less than a unit that the virtual shares keep.
        vm.assertLe(57 ether - activeOf(operator), 1);
        vm.assertLe(19 ether - activeOf(staker), 1);
        vm.assertEq(rewards.claimed(operator), 40 ether);
    }

    /// @dev Nobody stakes any more: all of it is the operator's. And with all of it as commission nothing is shared.
    function test_APooledOperatorAlone() public {
        registerOperator(0, 10_000, true);
        post(1, rewards.rewardLeaf(operator, 40 ether), 40 ether);
        vm.warp(block.timestamp + VETO);
        rewards.claim(operator, 40 ether, new bytes32[](0));
        vm.assertEq(token.balanceOf(operator), 40 ether);
        vm.assertEq(token.balanceOf(address(registry)), 0);
    }

    /// @dev Without commission all of it is shared.
    function test_WithoutCommissionAllIsShared() public {
        registerOperator(1 ether, 0, true);
        post(1, rewards.rewardLeaf(operator, 40 ether), 40 ether);
        vm.warp(block.timestamp + VETO);
        rewards.claim(operator, 40 ether, new bytes32[](0));
        vm.assertEq(token.balanceOf(operator), 0);
        vm.assertEq(token.balanceOf(address(registry)), 41 ether);
    }

    /// @dev A counter beyond 96 bits bounds a total by 96 bits: it is never cut off silently.
    function test_ACounterBeyond96BitsBoundsNothingAway() public {
        rewards = new RewardDistributor(token, new HugeCounter(), registry, address(this), 0);
        rewards.grantRole(rewards.COORDINATOR_ROLE(), coordinator);
        uint256 most = type(uint96).max;
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.TotalAboveBurned.selector, most + 1, most));
        post(1, ROOT, most + 1);
        post(1, ROOT, most);
        vm.assertEq(rewards.activeEpoch().total, most);
    }

    function post(uint64 epoch, bytes32 root, uint256 total) private {
        vm.prank(coordinator);
        rewards.postRoot(epoch, root, total);
    }

    function postPair(uint64 epoch, uint256 mine, uint256 theirs) private returns (bytes32[] memory) {
        bytes32 sibling = rewards.rewardLeaf(other, theirs);
        post(epoch, hashPair(rewards.rewardLeaf(node, mine), sibling), mine + theirs);
        return one(sibling);
    }

    function bothClaims(uint256 mine, uint256 theirs) private view returns (RewardDistributor.Claim[] memory claims) {
        claims = new RewardDistributor.Claim[](2);
        claims[0] = RewardDistributor.Claim(node, mine, one(rewards.rewardLeaf(other, 5)));
        claims[1] = RewardDistributor.Claim(other, theirs, one(rewards.rewardLeaf(node, mine)));
    }

    function expectInvalid(address account, uint256 cumulative) private {
        vm.expectRevert(abi.encodeWithSelector(RewardDistributor.InvalidProof.selector, account, cumulative));
    }
}
