// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {EscrowTypes} from "../src/EscrowTypes.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {Base} from "./Base.sol";

/// @dev propose, finalize, cancel, refund: each exactly once, and each excluding the others.
contract EscrowOutcomeTest is Base {
    function test_ProposeKeepsWhatItSays() public {
        openJob();
        vm.expectEmit();
        emit EscrowTypes.Proposed(JOB, 40 ether, ROOT, 3);
        proposeJob(40 ether);
        EscrowTypes.Escrow memory kept = escrow.escrowOf(JOB);
        vm.assertEq(kept.price, 40 ether);
        vm.assertEq(kept.receiptRoot, ROOT);
        vm.assertEq(kept.receiptCount, 3);
        vm.assertEq(kept.proposedAt, START);
        vm.assertEq(uint256(kept.state), uint256(EscrowTypes.State.Proposed));
    }

    function test_RevertWhen_StrangerProposesOrCancels() public {
        openJob();
        bytes memory refusal = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, client, escrow.COORDINATOR_ROLE()
        );
        vm.expectRevert(refusal);
        vm.prank(client);
        escrow.propose(JOB, 0, 0, 0);
        vm.expectRevert(refusal);
        vm.prank(client);
        escrow.cancel(JOB);
    }

    function testFuzz_RevertWhen_PriceIsAboveCap(uint256 price) public {
        vm.assume(price > CAP);
        openJob();
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.PriceAboveCap.selector, price, CAP));
        proposeJob(price);
    }

    function test_RevertWhen_ReceiptsAreMissing() public {
        openJob();
        expectMissing(1, ROOT, 0);
        expectMissing(1, 0, 1);
        expectMissing(1, 0, 0);
        expectMissing(0, ROOT, 0);
    }

    function test_RevertWhen_ThereAreTooManyReceipts() public {
        openJob();
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.TooManyReceipts.selector, uint64(2 ** 32)));
        vm.prank(coordinator);
        escrow.propose(JOB, 1, ROOT, 2 ** 32);
        vm.prank(coordinator);
        escrow.propose(JOB, 1, ROOT, 2 ** 32 - 1);
        vm.assertEq(uint256(escrow.escrowOf(JOB).receiptCount), 2 ** 32 - 1);
    }

    function test_AJobMayCostNothing() public {
        openJob();
        vm.prank(coordinator);
        escrow.propose(JOB, 0, 0, 0);
        vm.warp(START + WINDOW);
        uint256 before = token.balanceOf(client);
        escrow.finalize(JOB);
        vm.assertEq(token.balanceOf(client), before + CAP);
        vm.assertEq(escrow.totalBurned(), 0);
    }

    function test_ProposeUntilTheEndOfGraceAndNotLater() public {
        openJob();
        uint256 last = DEADLINE + GRACE;
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.ProposalTooLate.selector, last + 1, last));
        proposeJob(1);
        vm.warp(last);
        proposeJob(1);
    }

    function testFuzz_FinalizeAddsUp(uint96 cap, uint96 price, uint16 feeBps) public {
        cap = uint96(1 + cap % 1_000_000 ether);
        price = uint96(price % (uint256(cap) + 1));
        feeBps = uint16(feeBps % 1_001);
        escrow = new JobEscrow(token, treasury, address(this), feeBps, 0, GRACE, registry, address(disputes));
        escrow.grantRole(escrow.COORDINATOR_ROLE(), coordinator);
        vm.prank(client);
        token.approve(address(escrow), cap);
        uint256 money = token.balanceOf(client);
        uint256 supply = token.totalSupply();
        vm.prank(client);
        escrow.open(JOB, cap, DEADLINE);
        proposeJob(price);
        escrow.finalize(JOB);

        uint256 fee = token.balanceOf(treasury);
        uint256 burned = supply - token.totalSupply();
        uint256 refund = token.balanceOf(client) + cap - money;
        vm.assertEq(burned + fee + refund, cap);
        vm.assertEq(burned + fee, price);
        vm.assertEq(fee, (uint256(price) * feeBps) / 10_000);
        vm.assertEq(escrow.totalBurned(), burned);
        vm.assertEq(token.balanceOf(address(escrow)), 0);
    }

    function test_FeeRoundsDown() public {
        openJob();
        proposeJob(19);
        vm.warp(START + WINDOW);
        vm.expectEmit();
        emit EscrowTypes.Finalized(JOB, 19, 0, CAP - 19);
        escrow.finalize(JOB);
    }

    function test_AnybodyFinalizesAfterTheWindowAndNotBefore() public {
        openJob();
        proposeJob(CAP);
        uint256 end = START + WINDOW;
        vm.warp(end - 1);
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.WindowOpen.selector, end - 1, end));
        escrow.finalize(JOB);
        vm.warp(end);
        vm.prank(stranger);
        escrow.finalize(JOB);
    }

    function test_RefundAfterGraceAndNotBefore() public {
        openJob();
        uint256 last = DEADLINE + GRACE;
        vm.warp(last);
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.RefundTooEarly.selector, last, last));
        escrow.refund(JOB);
        vm.warp(last + 1);
        uint256 before = token.balanceOf(client);
        vm.expectEmit();
        emit EscrowTypes.Refunded(JOB, client, CAP);
        vm.prank(stranger);
        escrow.refund(JOB);
        vm.assertEq(token.balanceOf(client), before + CAP);
    }

    function test_CancelReturnsAll() public {
        openJob();
        uint256 before = token.balanceOf(client);
        vm.expectEmit();
        emit EscrowTypes.Cancelled(JOB, client, CAP);
        vm.prank(coordinator);
        escrow.cancel(JOB);
        vm.assertEq(token.balanceOf(client), before + CAP);
    }

    // What excludes what, in each order.

    function test_NothingBeforeOpening() public {
        expectAllRefused(EscrowTypes.State.None);
    }

    function test_OpenCannotBeFinalized() public {
        openJob();
        vm.expectRevert(wrongState(EscrowTypes.State.Open, EscrowTypes.State.Proposed));
        escrow.finalize(JOB);
    }

    function test_ProposedCanOnlyBeFinalized() public {
        openJob();
        proposeJob(CAP);
        vm.warp(DEADLINE + GRACE + 365 days);
        expectNotOpen(EscrowTypes.State.Proposed);
        escrow.finalize(JOB);
    }

    function test_NothingAfterFinalize() public {
        openJob();
        proposeJob(CAP);
        vm.warp(DEADLINE + GRACE + 1);
        escrow.finalize(JOB);
        expectAllRefused(EscrowTypes.State.Finalized);
    }

    function test_NothingAfterRefund() public {
        openJob();
        vm.warp(DEADLINE + GRACE + 1);
        escrow.refund(JOB);
        expectAllRefused(EscrowTypes.State.Refunded);
    }

    function test_NothingAfterCancel() public {
        openJob();
        vm.prank(coordinator);
        escrow.cancel(JOB);
        vm.warp(DEADLINE + GRACE + 1);
        expectAllRefused(EscrowTypes.State.Refunded);
    }

    /// @dev The admin can give itself every role and still moves nothing out of the way that the client agreed to.
    function test_NoRoleTakesAnEscrow() public {
        openJob();
        escrow.grantRole(escrow.COORDINATOR_ROLE(), address(this));
        escrow.grantRole(escrow.PAUSER_ROLE(), address(this));
        escrow.propose(JOB, CAP, ROOT, 1);
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
        vm.assertEq(token.balanceOf(address(this)), 0);
        vm.assertEq(token.balanceOf(treasury), 5 ether);
        vm.assertEq(escrow.totalBurned(), 95 ether);
    }

    function expectMissing(uint256 price, bytes32 root, uint64 count) private {
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.ReceiptsMissing.selector, price, root, count));
        vm.prank(coordinator);
        escrow.propose(JOB, price, root, count);
    }

    function expectNotOpen(EscrowTypes.State actual) private {
        bytes memory refusal = wrongState(actual, EscrowTypes.State.Open);
        vm.expectRevert(refusal);
        proposeJob(1);
        vm.expectRevert(refusal);
        vm.prank(coordinator);
        escrow.cancel(JOB);
        vm.expectRevert(refusal);
        escrow.refund(JOB);
    }

    function expectAllRefused(EscrowTypes.State actual) private {
        uint256 held = token.balanceOf(address(escrow));
        expectNotOpen(actual);
        vm.expectRevert(wrongState(actual, EscrowTypes.State.Proposed));
        escrow.finalize(JOB);
        vm.assertEq(token.balanceOf(address(escrow)), held);
    }
}
