// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DisputeTypes} from "../src/DisputeTypes.sol";
import {ReceiptTree} from "../src/ReceiptTree.sol";
import {Base} from "./Base.sol";

/// @dev Finalisation, refund, cancellation and all that ends a challenge with its bond, in every order in which they can
///      arrive, from every state that a job can be in: one outcome of the job, one of the bond, and nothing missing.
contract EveryOrderTest is Base {
    enum Act {
        Finalize,
        Refund,
        Cancel,
        Prove,
        Uphold,
        Dismiss,
        Lapse
    }

    address private challenger = address(0xC4A1);
    Act[] private acts;
    mapping(Act act => bytes) private calls;
    uint256 private outcomes;
    uint256 private closings;

    function setUp() public override {
        super.setUp();
        fund(challenger, BOND);
        calls[Act.Finalize] = abi.encodeCall(escrow.finalize, (JOB));
        calls[Act.Refund] = abi.encodeCall(escrow.refund, (JOB));
        calls[Act.Cancel] = abi.encodeCall(escrow.cancel, (JOB));
        DisputeTypes.Leaf memory unsigned = DisputeTypes.Leaf(receipt(0), "", new ReceiptTree.Sibling[](0));
        calls[Act.Prove] = abi.encodeCall(disputes.proveInvalidReceipt, (JOB, unsigned));
        calls[Act.Uphold] = abi.encodeCall(disputes.rule, (1, true, 0, ruling(1, true, 0, 2)));
        calls[Act.Dismiss] = abi.encodeCall(disputes.rule, (1, false, 0, ruling(1, false, 0, 2)));
        calls[Act.Lapse] = abi.encodeCall(disputes.lapse, (1));
        acts.push(Act.Finalize);
        acts.push(Act.Refund);
        acts.push(Act.Cancel);
        acts.push(Act.Prove);
    }

    /// @dev Deadline and grace are over, the auditors' time is not: whoever is first wins.
    function test_InEveryOrderWhileAuditorsMayRule() public {
        acts.push(Act.Uphold);
        acts.push(Act.Dismiss);
        inEveryOrder(DEADLINE + GRACE + 1, 720);
    }

    /// @dev The auditors' time is over as well: the bond is claimed back.
    function test_InEveryOrderWhenNobodyRuled() public {
        acts.push(Act.Lapse);
        inEveryOrder(START + RULING + 1, 120);
    }

    /// @dev One order of arrival; a call of its own, so that it begins with fresh memory. Each tries again once, as
    ///      people do: what had to wait for another may have its turn then.
    function play(uint256 number, bool challenged) external {
        Act[] memory order_ = permutation(number);
        uint256 supply = token.totalSupply();
        uint256 had = token.balanceOf(client);
        (outcomes, closings) = (0, 0);
        for (uint256 i = 0; i < 2 * order_.length; ++i) {
            arrive(order_[i % order_.length]);
        }
        vm.assertEq(outcomes, 1, "one of finalize, refund and cancel");
        vm.assertEq(closings, challenged ? 1 : 0, "a bond is decided once");
        vm.assertTrue(escrow.isFinal(JOB));
        vm.assertEq(token.balanceOf(address(escrow)), 0, "nothing stays in the escrow");
        vm.assertEq(token.balanceOf(address(disputes)), 0, "nor in the disputes");
        uint256 burned = escrow.totalBurned();
        uint256 all = token.balanceOf(client) - had + token.balanceOf(treasury) + burned;
        vm.assertEq(all, CAP, "all of the escrow, and once");
        bool dismissed = disputes.challengeOf(1).outcome == DisputeTypes.Outcome.Dismissed;
        uint256 bondBurned = BOND - token.balanceOf(challenger);
        vm.assertEq(bondBurned, dismissed ? BOND : 0, "a dismissed bond is burned, any other is back");
        vm.assertEq(supply - token.totalSupply(), burned + bondBurned, "nothing else was burned");
    }

    function inEveryOrder(uint256 time, uint256 orders) private {
        for (uint256 state = 0; state < 3; ++state) {
            uint256 before = vm.snapshotState();
            openJob();
            if (state > 0) {
                bytes32 leaf = escrow.receiptLeaf(receipt(0), "");
                vm.prank(coordinator);
                escrow.propose(JOB, 7 ether, leaf, 1);
            }
            if (state > 1) {
                vm.prank(challenger);
                vm.assertEq(disputes.challenge(JOB, address(0), keccak256("evidence")), 1);
            }
            vm.warp(time);
            uint256 here = vm.snapshotState();
            for (uint256 number = 0; number < orders; ++number) {
                this.play(number, state == 2);
                vm.revertToState(here);
            }
            vm.revertToState(before);
        }
    }

    function permutation(uint256 number) private view returns (Act[] memory order_) {
        order_ = acts;
        for (uint256 left = order_.length; left > 1; --left) {
            uint256 other = number % left;
            number /= left;
            (order_[left - 1], order_[other]) = (order_[other], order_[left - 1]);
        }
    }

    function arrive(Act act) private {
        bool open = disputes.challengeOf(1).outcome == DisputeTypes.Outcome.Open;
        bool final_ = escrow.isFinal(JOB);
        address target = act <= Act.Cancel ? address(escrow) : address(disputes);
        if (act == Act.Cancel) vm.prank(coordinator);
        (bool done,) = target.call(calls[act]);
        if (done && act <= Act.Cancel) ++outcomes;
        vm.assertTrue(done || final_ == escrow.isFinal(JOB));
        if (open && disputes.challengeOf(1).outcome != DisputeTypes.Outcome.Open) ++closings;
    }
}
