// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BondTypes} from "../src/BondTypes.sol";
import {CoordinatorBond} from "../src/CoordinatorBond.sol";
import {DisputeTypes} from "../src/DisputeTypes.sol";
import {EscrowTypes} from "../src/EscrowTypes.sol";
import {ReceiptTree} from "../src/ReceiptTree.sol";
import {Base} from "./Base.sol";

/// @dev A coordinator's bond: who is paid from it, when, and that nothing else takes it away.
contract CoordinatorBondTest is Base {
    uint96 private constant DEPOSIT = 50 ether;

    CoordinatorBond private bond;

    function setUp() public override {
        super.setUp();
        bond = new CoordinatorBond(escrow, 90 days);
        deposit(signer, DEPOSIT);
    }

    function test_NoticeOutlastsWhatAJobCanTake() public view {
        vm.assertEq(bond.notice(), 90 days + 2 * (GRACE + WINDOW + RULING) + 30 days);
        vm.assertEq(address(bond.token()), address(token));
        vm.assertEq(address(bond.registry()), address(registry));
    }

    function test_JobsAreNoLongerThanTheEscrowTakes() public {
        new CoordinatorBond(escrow, 366 days);
        vm.expectRevert(abi.encodeWithSelector(BondTypes.JobsTooLong.selector, 366 days + 1, 366 days));
        new CoordinatorBond(escrow, 366 days + 1);
    }

    function test_ARefundedJobIsPaidToTheOperator() public {
        registerOperator(1 ether, 0, false);
        refundedJob();
        BondTypes.Acknowledgement memory told = word(1, 7 ether);
        bytes memory signature = signed(told);
        uint256 supply = token.totalSupply();
        vm.expectEmit();
        emit BondTypes.AcknowledgementClaimed(JOB, signer, told.lease, told.tile, operator, 7 ether, 0);
        vm.prank(stranger);
        vm.assertEq(bond.claim(told, signature), 7 ether);
        vm.assertEq(token.balanceOf(operator), 7 ether);
        vm.assertEq(bond.paidOf(signer, told.lease), 7 ether);
        vm.assertEq(bond.bondOf(signer).amount, DEPOSIT - 14 ether);
        vm.assertEq(token.totalSupply(), supply - 7 ether, "as much again is burned");
    }

    /// @dev Words to itself for a job of its own take half of a bond out; notice takes all of it out.
    function test_TakingTheBondByWordsToOneselfCostsHalfOfIt() public {
        refundedJob();
        BondTypes.Acknowledgement memory told = word(1, type(uint256).max);
        told.node = signer;
        vm.assertEq(claim(told), DEPOSIT / 2);
        vm.assertEq(token.balanceOf(signer), DEPOSIT / 2);
        vm.assertEq(token.balanceOf(address(bond)), 0);
    }

    function test_ANodeForWhichNobodyAnswersIsPaidItself() public {
        refundedJob();
        claim(word(1, 7 ether));
        vm.assertEq(token.balanceOf(node), 7 ether);
    }

    function test_ALeaseIsPaidOnce() public {
        refundedJob();
        BondTypes.Acknowledgement memory told = word(1, 7 ether);
        claim(told);
        refuses(told, abi.encodeWithSelector(BondTypes.AcknowledgementPaid.selector, told.lease, 7 ether));
        // Nor by another word for the same lease, unless that says more: then the difference.
        told.tile = 2;
        refuses(told, abi.encodeWithSelector(BondTypes.AcknowledgementPaid.selector, told.lease, 7 ether));
        told.amount = 8 ether;
        vm.assertEq(claim(told), 1 ether);
        refuses(word(3, 0), abi.encodeWithSelector(BondTypes.AcknowledgementPaid.selector, word(3, 0).lease, 0));
    }

    /// @dev Each of two nodes that delivered the same tile has the coordinator's word, and is paid.
    function test_TwoNodesWithOneTileAreBothPaid() public {
        refundedJob();
        BondTypes.Acknowledgement memory other = word(1, 7 ether);
        (other.lease, other.node) = (keccak256("another lease"), stranger);
        claim(word(1, 7 ether));
        claim(other);
        vm.assertEq(token.balanceOf(node), 7 ether);
        vm.assertEq(token.balanceOf(stranger), 7 ether);
    }

    function test_OnlyARefundedJobIsPaid() public {
        BondTypes.Acknowledgement memory told = word(1, 7 ether);
        refuses(told, notRefunded(EscrowTypes.State.None));
        openJob();
        refuses(told, notRefunded(EscrowTypes.State.Open));
        proposeJob(0.5 ether);
        refuses(told, notRefunded(EscrowTypes.State.Proposed));
        fund(stranger, BOND);
        vm.prank(stranger);
        disputes.challenge(JOB, address(0), keccak256("evidence"));
        refuses(told, notRefunded(EscrowTypes.State.Disputed));
        vm.warp(START + RULING + 1);
        disputes.lapse(1);
        escrow.finalize(JOB);
        refuses(told, notRefunded(EscrowTypes.State.Finalized));
        vm.assertEq(bond.bondOf(signer).amount, DEPOSIT);
    }

    /// @dev A price of nothing is a verdict as well: what did not pass is owed nothing.
    function test_AJobAtThePriceOfNothingIsNotPaid() public {
        openJob();
        vm.prank(coordinator);
        escrow.propose(JOB, 0, 0, 0);
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
        refuses(word(1, 7 ether), notRefunded(EscrowTypes.State.Finalized));
    }

    /// @dev Giving a job up is no way out of what was acknowledged.
    function test_ACancelledJobIsPaid() public {
        openJob();
        vm.prank(coordinator);
        escrow.cancel(JOB);
        vm.assertEq(claim(word(1, 7 ether)), 7 ether);
    }

    function test_OnlyTheSignersOwnBondPays() public {
        refundedJob();
        BondTypes.Acknowledgement memory told = word(1, 7 ether);
        bytes memory other = signDigest(0xBAD, bond.acknowledgementDigest(told));
        vm.expectRevert(abi.encodeWithSelector(BondTypes.NoBond.selector, vm.addr(0xBAD)));
        bond.claim(told, other);
        deposit(vm.addr(0xBAD), 6 ether);
        vm.assertEq(bond.claim(told, other), 3 ether);
        vm.assertEq(bond.bondOf(signer).amount, DEPOSIT);
        vm.assertEq(bond.paidOf(signer, told.lease), 0);
        vm.expectRevert(abi.encodeWithSelector(BondTypes.NoBond.selector, address(0)));
        bond.claim(told, hex"00");
    }

    /// @dev Taking the signer's role away takes nothing from those that have its word.
    function test_ARevokedSignersWordIsPaid() public {
        refundedJob();
        escrow.revokeRole(escrow.RECEIPT_SIGNER_ROLE(), signer);
        vm.assertEq(claim(word(1, 7 ether)), 7 ether);
    }

    function test_AWordHoldsHereAndNowhereElse() public {
        refundedJob();
        BondTypes.Acknowledgement memory told = word(1, 7 ether);
        bytes memory signature = signed(told);
        CoordinatorBond twin = new CoordinatorBond(escrow, 90 days);
        fund(stranger, DEPOSIT);
        vm.startPrank(stranger);
        token.approve(address(twin), DEPOSIT);
        twin.deposit(signer, DEPOSIT);
        vm.stopPrank();
        vm.expectRevert();
        twin.claim(told, signature);
        uint256 here = block.chainid;
        vm.chainId(here + 1);
        vm.expectRevert();
        bond.claim(told, signature);
        vm.chainId(here);
        vm.assertEq(bond.claim(told, signature), 7 ether);
    }

    function testFuzz_AChangedWordIsWorthNothing(uint8 field, uint256 change) public {
        refundedJob();
        BondTypes.Acknowledgement memory told = word(1, 7 ether);
        bytes memory signature = signed(told);
        vm.assume(change != 0);
        if (field % 6 == 0) told.job ^= bytes32(change);
        else if (field % 6 == 1) told.tile ^= uint64(change % type(uint64).max) + 1;
        else if (field % 6 == 2) told.lease ^= bytes32(change);
        else if (field % 6 == 3) told.node = address(uint160(told.node) ^ uint160(1 + change % type(uint160).max));
        else if (field % 6 == 4) told.root ^= bytes32(change);
        else told.amount ^= change;
        vm.expectRevert();
        bond.claim(told, signature);
    }

    /// @dev First come, first served; the rest is paid when there is more.
    function test_WhatTheBondDoesNotCoverIsPaidLater() public {
        refundedJob();
        claim(word(1, 20 ether));
        BondTypes.Acknowledgement memory second = word(2, 20 ether);
        vm.assertEq(claim(second), 5 ether);
        refuses(second, abi.encodeWithSelector(BondTypes.BondExhausted.selector, signer, 15 ether));
        deposit(signer, 1);
        refuses(second, abi.encodeWithSelector(BondTypes.BondExhausted.selector, signer, 15 ether));
        deposit(signer, 31 ether);
        vm.assertEq(claim(second), 15 ether);
        vm.assertEq(bond.bondOf(signer).amount, 1 ether + 1);
    }

    function testFuzz_NoMoreIsPaidThanOwedNorThanThereIs(uint96 has, uint256 owed, uint96 more) public {
        refundedJob();
        claim(word(99, DEPOSIT));
        (has, more) = (2 + has % 1_000_000 ether, 2 + more % 1_000_000 ether);
        owed = 1 + owed % type(uint128).max;
        deposit(signer, has);
        uint256 supply = token.totalSupply() + more;
        uint256 first = claim(word(1, owed));
        vm.assertEq(first, owed < has / 2 ? owed : has / 2);
        deposit(signer, more);
        uint256 second = 0;
        if (first == owed) {
            refuses(
                word(1, owed), abi.encodeWithSelector(BondTypes.AcknowledgementPaid.selector, word(1, owed).lease, owed)
            );
        } else {
            uint256 most = (has - 2 * first + more) / 2;
            second = claim(word(1, owed));
            vm.assertEq(second, owed - first < most ? owed - first : most);
        }
        vm.assertLe(first + second, owed);
        vm.assertEq(token.totalSupply(), supply - first - second, "as much again is burned");
        vm.assertEq(token.balanceOf(address(bond)), bond.bondOf(signer).amount);
        vm.assertEq(bond.bondOf(signer).amount, uint256(has) + more - 2 * (first + second));
    }

    function test_ADepositIsSomething() public {
        vm.expectRevert(BondTypes.NothingDeposited.selector);
        bond.deposit(signer, 0);
        vm.expectRevert();
        bond.deposit(signer, 1);
    }

    function test_WithdrawalTakesNotice() public {
        vm.startPrank(signer);
        vm.expectRevert(abi.encodeWithSelector(BondTypes.NoNotice.selector, signer));
        bond.withdraw();
        vm.expectRevert(abi.encodeWithSelector(BondTypes.BondTooSmall.selector, signer, DEPOSIT, DEPOSIT + 1));
        bond.giveNotice(DEPOSIT + 1);
        uint40 ready = uint40(START) + bond.notice();
        vm.expectEmit();
        emit BondTypes.NoticeGiven(signer, 20 ether, ready);
        bond.giveNotice(20 ether);
        vm.warp(ready - 1);
        vm.expectRevert(abi.encodeWithSelector(BondTypes.NoticeRunning.selector, ready - 1, ready));
        bond.withdraw();
        vm.warp(ready);
        vm.assertEq(bond.withdraw(), 20 ether);
        vm.assertEq(token.balanceOf(signer), 20 ether);
        vm.assertEq(bond.bondOf(signer).amount, DEPOSIT - 20 ether);
        vm.expectRevert(abi.encodeWithSelector(BondTypes.NoNotice.selector, signer));
        bond.withdraw();
    }

    function test_NoticeIsTakenBackAndBegunAnew() public {
        vm.startPrank(signer);
        bond.giveNotice(20 ether);
        bond.giveNotice(0);
        vm.warp(START + bond.notice());
        vm.expectRevert(abi.encodeWithSelector(BondTypes.NoNotice.selector, signer));
        bond.withdraw();
        bond.giveNotice(5 ether);
        vm.assertEq(bond.bondOf(signer).readyAt, START + 2 * bond.notice());
    }

    /// @dev What was given notice of pays like the rest until it is gone; of what is left no more can leave.
    function test_WhatIsLeavingPays() public {
        refundedJob();
        vm.prank(signer);
        bond.giveNotice(DEPOSIT);
        claim(word(1, 20 ether));
        vm.assertEq(bond.bondOf(signer).leaving, 10 ether);
        vm.warp(block.timestamp + bond.notice());
        vm.prank(signer);
        vm.assertEq(bond.withdraw(), 10 ether);
        vm.assertEq(token.balanceOf(address(bond)), 0);
        refuses(word(2, 1 ether), abi.encodeWithSelector(BondTypes.BondExhausted.selector, signer, 1 ether));
    }

    /// @dev A word given before the notice is paid whatever the coordinator does with a job of the longest duration: proposals
    ///      at the last moment, challenged and voided, until only the refund is left.
    function test_NoticeIsLongEnoughForTheLongestJob() public {
        vm.prank(signer);
        bond.giveNotice(DEPOSIT);
        vm.prank(client);
        escrow.open(JOB, CAP, uint64(START + 90 days));
        vm.warp(START + 90 days + GRACE);
        for (uint256 id = 1; id < 3; ++id) {
            proposeJob(1 ether);
            vm.warp(block.timestamp + WINDOW - 1);
            fund(stranger, BOND);
            vm.prank(stranger);
            disputes.challenge(JOB, address(0), keccak256("evidence"));
            vm.warp(block.timestamp + RULING);
            disputes.rule(id, true, 0, ruling(id, true, 0, 2));
            if (id == 1) vm.warp(block.timestamp + GRACE);
        }
        escrow.refund(JOB);
        vm.warp(block.timestamp + 30 days);
        vm.prank(signer);
        vm.expectRevert();
        bond.withdraw();
        vm.assertEq(claim(word(1, 7 ether)), 7 ether);
    }

    // -- every order

    /// @dev Finalisation, refund, cancellation, a proof that voids, and a claim, in every order from every state, each tried
    ///      three times: a claim succeeds once if the job was refunded, and never if it was finalized.
    function test_ClaimAndFinalisationInEveryOrder() public {
        for (uint256 state = 0; state < 4; ++state) {
            uint256 before = vm.snapshotState();
            if (state > 0) openJob();
            if (state > 1) {
                bytes32 leaf = escrow.receiptLeaf(receipt(0), "");
                vm.prank(coordinator);
                escrow.propose(JOB, 7 ether, leaf, 1);
            }
            if (state > 2) {
                fund(stranger, BOND);
                vm.prank(stranger);
                disputes.challenge(JOB, address(0), keccak256("evidence"));
            }
            vm.warp(DEADLINE + GRACE + 1);
            uint256 here = vm.snapshotState();
            for (uint256 number = 0; number < 120; ++number) {
                this.play(number);
                vm.revertToState(here);
            }
            vm.revertToState(before);
        }
    }

    /// @dev One order of arrival; a call of its own, so that it begins with fresh memory.
    function play(uint256 number) external {
        uint256[5] memory acts = [uint256(0), 1, 2, 3, 4];
        for (uint256 left = 5; left > 1; --left) {
            uint256 other = number % left;
            number /= left;
            (acts[left - 1], acts[other]) = (acts[other], acts[left - 1]);
        }
        uint256 claims = 0;
        for (uint256 i = 0; i < 15; ++i) {
            EscrowTypes.State was = stateOf(JOB);
            bool done = act(acts[i % 5]);
            if (acts[i % 5] != 4) continue;
            vm.assertTrue(!done || was == EscrowTypes.State.Refunded, "a claim of a job that was not refunded");
            if (done) ++claims;
        }
        bool refunded = stateOf(JOB) == EscrowTypes.State.Refunded;
        vm.assertEq(claims, refunded ? 1 : 0, "one claim of a refunded job, none of another");
        vm.assertEq(token.balanceOf(node), refunded ? 7 ether : 0);
        vm.assertEq(token.balanceOf(address(bond)), refunded ? DEPOSIT - 14 ether : DEPOSIT);
        if (escrow.totalBurned() != 0) vm.assertFalse(refunded);
    }

    function act(uint256 which) private returns (bool done) {
        if (which == 0) (done,) = address(escrow).call(abi.encodeCall(escrow.finalize, (JOB)));
        if (which == 1) (done,) = address(escrow).call(abi.encodeCall(escrow.refund, (JOB)));
        if (which == 2) {
            vm.prank(coordinator);
            (done,) = address(escrow).call(abi.encodeCall(escrow.cancel, (JOB)));
        }
        if (which == 3) {
            DisputeTypes.Leaf memory unsigned = DisputeTypes.Leaf(receipt(0), "", new ReceiptTree.Sibling[](0));
            (done,) = address(disputes).call(abi.encodeCall(disputes.proveInvalidReceipt, (JOB, unsigned)));
        }
        if (which == 4) {
            BondTypes.Acknowledgement memory told = word(1, 7 ether);
            (done,) = address(bond).call(abi.encodeCall(bond.claim, (told, signed(told))));
        }
    }

    // -- helpers

    function word(uint64 tile, uint256 amount) private view returns (BondTypes.Acknowledgement memory) {
        return BondTypes.Acknowledgement(JOB, tile, keccak256(abi.encode("lease", tile)), node, ROOT, amount);
    }

    function signed(BondTypes.Acknowledgement memory told) private view returns (bytes memory) {
        return signDigest(SIGNER_KEY, bond.acknowledgementDigest(told));
    }

    function claim(BondTypes.Acknowledgement memory told) private returns (uint256) {
        return bond.claim(told, signed(told));
    }

    function refuses(BondTypes.Acknowledgement memory told, bytes memory reason) private {
        bytes memory signature = signed(told);
        vm.expectRevert(reason);
        bond.claim(told, signature);
    }

    function notRefunded(EscrowTypes.State state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(BondTypes.JobNotRefunded.selector, JOB, state);
    }

    function deposit(address for_, uint96 amount) private {
        token.mint(address(this), amount);
        token.approve(address(bond), amount);
        bond.deposit(for_, amount);
    }

    function refundedJob() private {
        openJob();
        vm.warp(DEADLINE + GRACE + 1);
        escrow.refund(JOB);
    }
}
