// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IJobEnds, IPooledAccounts} from "../src/Interfaces.sol";
import {EscrowTypes} from "../src/EscrowTypes.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {KilnToken} from "../src/KilnToken.sol";
import {RegistryTypes} from "../src/RegistryTypes.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {StakePool} from "../src/StakePool.sol";
import {Base} from "./Base.sol";

/// @dev Operators, their nodes, stake, locks.
contract NodeRegistryTest is Base {
    uint256 private constant OWN = 100 ether;

    function test_RevertWhen_DeployedWrong() public {
        vm.expectRevert(RegistryTypes.ZeroAddress.selector);
        new NodeRegistry(KilnToken(address(0)), 1, 0, escrow, address(disputes), rewards);
        vm.expectRevert(RegistryTypes.ZeroAddress.selector);
        new NodeRegistry(token, 1, 0, IJobEnds(address(0)), address(disputes), rewards);
        vm.expectRevert(RegistryTypes.ZeroAddress.selector);
        new NodeRegistry(token, 1, 0, escrow, address(0), rewards);
        vm.expectRevert(RegistryTypes.ZeroAddress.selector);
        new NodeRegistry(token, 1, 0, escrow, address(disputes), IPooledAccounts(address(0)));
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.ShareTooHigh.selector, 5_001, 5_000));
        new NodeRegistry(token, 1, 5_001, escrow, address(disputes), rewards);
        vm.expectRevert(RegistryTypes.NoUnbondingPeriod.selector);
        new NodeRegistry(token, 0, 0, escrow, address(disputes), rewards);
    }

    function test_RegisterOnce() public {
        vm.expectEmit();
        emit RegistryTypes.Registered(operator, 500);
        vm.startPrank(operator);
        registry.register(500);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.AlreadyRegistered.selector, operator));
        registry.register(500);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.ShareTooHigh.selector, 10_001, 10_000));
        registry.register(10_001);
    }

    function test_ANodeAnswersToOneOperator() public {
        registerOperator(0, 0, false);
        vm.assertEq(registry.answersFor(node), operator);
        vm.assertEq(registry.answersFor(stranger), address(0));
        bytes memory signature = signDigest(NODE_KEY, registry.nodeKeyDigest(node, address(this)));
        registry.register(0);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NodeTaken.selector, node));
        registry.addNode(node, signature);
    }

    function test_RevertWhen_TheNodeDidNotAgree() public {
        bytes memory other = signDigest(NODE_KEY, registry.nodeKeyDigest(node, stranger));
        bytes memory foreign = signDigest(CLIENT_KEY, registry.nodeKeyDigest(node, operator));
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotRegistered.selector, operator));
        vm.prank(operator);
        registry.addNode(node, other);
        vm.startPrank(operator);
        registry.register(0);
        bytes memory refusal = abi.encodeWithSelector(RegistryTypes.InvalidNodeSignature.selector, node, operator);
        vm.expectRevert(refusal);
        registry.addNode(node, other);
        vm.expectRevert(refusal);
        registry.addNode(node, foreign);
        vm.expectRevert(refusal);
        registry.addNode(node, "");
        vm.stopPrank();
    }

    function test_ARetiredNodeIsAnsweredForUntilTheUnbondingIsOver() public {
        registerOperator(0, 0, false);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotNodesOperator.selector, node, stranger));
        vm.prank(stranger);
        registry.retireNode(node);
        vm.startPrank(operator);
        registry.retireNode(node);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotNodesOperator.selector, node, operator));
        registry.retireNode(node);
        vm.warp(START + UNBONDING - 1);
        vm.assertEq(registry.answersFor(node), operator);
        vm.warp(START + UNBONDING);
        vm.assertEq(registry.answersFor(node), address(0));
        bytes memory signature = signDigest(NODE_KEY, registry.nodeKeyDigest(node, operator));
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NodeTaken.selector, node));
        registry.addNode(node, signature);
        vm.stopPrank();
    }

    function test_StakeUnbondWithdraw() public {
        registerOperator(OWN, 0, false);
        vm.assertEq(activeOf(operator), OWN);
        vm.expectEmit();
        emit RegistryTypes.Unbonding(operator, operator, 40 ether, uint40(START + UNBONDING));
        vm.startPrank(operator);
        registry.unbond(operator, 40 ether);
        vm.assertEq(activeOf(operator), 60 ether);
        vm.assertEq(unbondingOf(operator), 40 ether);
        vm.warp(START + UNBONDING - 1);
        vm.expectRevert(
            abi.encodeWithSelector(RegistryTypes.StillUnbonding.selector, START + UNBONDING - 1, START + UNBONDING)
        );
        registry.withdraw(operator);
        vm.warp(START + UNBONDING);
        vm.assertEq(registry.withdraw(operator), 40 ether);
        vm.assertEq(token.balanceOf(operator), 40 ether);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NothingUnbonding.selector, operator, operator));
        registry.withdraw(operator);
        vm.stopPrank();
    }

    function test_UnbondingMoreWaitsAnew() public {
        registerOperator(OWN, 0, false);
        vm.startPrank(operator);
        registry.unbond(operator, 40 ether);
        vm.warp(START + UNBONDING);
        registry.unbond(operator, type(uint256).max);
        vm.expectRevert();
        registry.withdraw(operator);
        vm.warp(START + 2 * UNBONDING);
        vm.assertEq(registry.withdraw(operator), OWN);
        vm.stopPrank();
    }

    function test_RevertWhen_UnbondingMoreThanThereIs() public {
        registerOperator(OWN, 0, false);
        vm.startPrank(operator);
        bytes4 reason = RegistryTypes.StakeTooSmall.selector;
        vm.expectRevert(abi.encodeWithSelector(reason, operator, operator, OWN, OWN + 1));
        registry.unbond(operator, OWN + 1);
        vm.expectRevert(abi.encodeWithSelector(reason, operator, operator, OWN, 0));
        registry.unbond(operator, 0);
        vm.stopPrank();
    }

    function test_RevertWhen_StakeIsNotCovered() public {
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotRegistered.selector, operator));
        registry.stake(operator, 1);
        registerOperator(0, 0, false);
        fund(operator, 5);
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, operator, 5, 6));
        registry.stake(operator, 6);
        vm.expectRevert(abi.encodeWithSelector(StakePool.DepositTooSmall.selector, 0));
        registry.stake(operator, 0);
        token.approve(address(registry), 4);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.InsufficientAllowance.selector, operator, 4, 5));
        registry.stake(operator, 5);
        vm.stopPrank();
    }

    function test_StakeByPermit() public {
        vm.startPrank(client);
        registry.register(0);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CLIENT_KEY, permitDigest(OWN, DEADLINE, address(registry)));
        registry.stakeWithPermit(client, OWN, DEADLINE, v, r, s);
        (uint256 active,,) = registry.stakeOf(client, client);
        vm.assertEq(active, OWN);
        // Used twice it is refused, as is one that expired: nothing is staked without an allowance.
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.InsufficientAllowance.selector, client, 0, OWN));
        registry.stakeWithPermit(client, OWN, DEADLINE, v, r, s);
        (v, r, s) = vm.sign(CLIENT_KEY, permitDigest(OWN, START - 1, address(registry)));
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.InsufficientAllowance.selector, client, 0, OWN));
        registry.stakeWithPermit(client, OWN, START - 1, v, r, s);
        vm.stopPrank();
    }

    function test_OthersStakeOnlyWhereTheOperatorIsOpen() public {
        registerOperator(OWN, 500, false);
        fund(staker, OWN);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotOpen.selector, operator));
        vm.prank(staker);
        registry.stake(operator, OWN);
        vm.expectEmit();
        emit RegistryTypes.TermsChanged(operator, true, 600);
        vm.prank(operator);
        registry.setTerms(true, 600);
        vm.prank(staker);
        registry.stake(operator, OWN / 2);
        // The operator may ask less of its co-stakers, never more, and may close to more of them.
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.CommissionRaised.selector, 601, 600));
        registry.setTerms(true, 601);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.ShareTooHigh.selector, 10_001, 10_000));
        registry.setTerms(true, 10_001);
        registry.setTerms(false, 400);
        vm.stopPrank();
        vm.assertTrue(registry.operatorOf(operator).pooled);
        vm.startPrank(staker);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotOpen.selector, operator));
        registry.stake(operator, OWN / 2);
        registry.unbond(operator, type(uint256).max);
        vm.warp(START + UNBONDING);
        vm.assertEq(registry.withdraw(operator), OWN / 2);
        vm.stopPrank();
        vm.prank(operator);
        registry.setTerms(true, 900);
    }

    function test_RevertWhen_StrangerSetsTerms() public {
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotRegistered.selector, address(this)));
        registry.setTerms(true, 0);
    }

    function test_AnAwardLocksOwnStakeUntilTheJobIsFinal() public {
        registerOperator(OWN, 0, false);
        openJob();
        vm.expectEmit();
        emit EscrowTypes.Awarded(JOB, only(operator), 60 ether);
        award(JOB, 60 ether);
        vm.assertEq(uint256(registry.lockOf(JOB, operator)), 60 ether);
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.StakeLocked.selector, operator, 60 ether - 1, 60 ether));
        registry.unbond(operator, 40 ether + 1);
        registry.unbond(operator, 40 ether);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.JobNotFinal.selector, JOB));
        registry.release(JOB, only(operator));
        proposeJob(CAP);
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
        vm.expectEmit();
        emit RegistryTypes.Released(operator, JOB, 60 ether);
        registry.release(JOB, only(operator));
        registry.release(JOB, only(operator));
        vm.assertEq(uint256(registry.operatorOf(operator).locked), 0);
        vm.prank(operator);
        registry.unbond(operator, 60 ether);
    }

    function test_RevertWhen_AwardedBeyondTheOwnStake() public {
        registerOperator(OWN, 0, true);
        fund(staker, OWN);
        vm.prank(staker);
        registry.stake(operator, OWN);
        openJob();
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.StakeTooSmall.selector, operator, operator, OWN, OWN + 1));
        award(JOB, uint96(OWN + 1));
        award(JOB, uint96(OWN));
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.AlreadyLocked.selector, JOB, operator));
        award(JOB, 1);
        // Whoever stakes with it may leave all the same.
        vm.prank(staker);
        registry.unbond(operator, OWN);
    }

    function test_RevertWhen_AwardedWithoutJobOrOperatorOrRole() public {
        vm.expectRevert(wrongState(EscrowTypes.State.None, EscrowTypes.State.Open));
        award(JOB, 1);
        openJob();
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotRegistered.selector, operator));
        award(JOB, 1);
        vm.expectRevert();
        vm.prank(stranger);
        escrow.award(JOB, only(operator), 1);
    }

    /// @dev Nobody but the contracts of the deployment locks, slashes or credits; and there is no role to give.
    function testFuzz_RevertWhen_AnybodyElseTouchesStake(address anybody) public {
        vm.assume(anybody != address(escrow) && anybody != address(disputes) && anybody != address(rewards));
        registerOperator(OWN, 0, false);
        bytes memory refusal = abi.encodeWithSelector(RegistryTypes.NotAllowed.selector, anybody);
        vm.startPrank(anybody);
        vm.expectRevert(refusal);
        registry.lock(JOB, only(operator), 1);
        vm.expectRevert(refusal);
        registry.slash(operator, 1, anybody);
        vm.expectRevert(refusal);
        registry.credit(operator, 1);
        vm.stopPrank();
        vm.assertEq(activeOf(operator), OWN);
    }

    function award(bytes32 job, uint96 amount) private {
        vm.prank(coordinator);
        escrow.award(job, only(operator), amount);
    }
}
