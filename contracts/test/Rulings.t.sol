// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Auditors} from "../src/Auditors.sol";
import {DisputeTypes} from "../src/DisputeTypes.sol";
import {Disputes} from "../src/Disputes.sol";
import {EscrowTypes} from "../src/EscrowTypes.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {RegistryTypes} from "../src/RegistryTypes.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {ReceiptTree} from "../src/ReceiptTree.sol";
import {Base} from "./Base.sol";

/// @dev What auditors decide: bonded challenges, M of N signatures, panels.
contract RulingsTest is Base {
    address private challenger = address(0xC4A1);

    function setUp() public override {
        super.setUp();
        openJob();
        registerOperator(100 ether, 0, false);
        fund(challenger, 100 ether);
        proposeJob(40 ether);
    }

    function test_RevertWhen_DeployedWrong() public {
        DisputeTypes.Terms memory terms = disputeTerms();
        vm.expectRevert(DisputeTypes.ZeroAddress.selector);
        new Disputes(escrow, registry, address(0), auditors(), 2, terms);
        terms.equivocationBps = 10_001;
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.ShareTooHigh.selector, 10_001, 10_000));
        new Disputes(escrow, registry, address(this), auditors(), 2, terms);
        (terms.equivocationBps, terms.maxRulingBps) = (0, 10_001);
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.ShareTooHigh.selector, 10_001, 10_000));
        new Disputes(escrow, registry, address(this), auditors(), 2, terms);
        (terms.maxRulingBps, terms.rulingPeriod) = (0, UNBONDING - WINDOW);
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.UnbondingTooShort.selector, UNBONDING, UNBONDING));
        new Disputes(escrow, registry, address(this), auditors(), 2, terms);
    }

    function test_AChallengeHoldsTheProposalUp() public {
        uint256 id = challenge(JOB, address(0));
        vm.assertEq(id, 1);
        vm.assertEq(token.balanceOf(address(disputes)), BOND);
        vm.assertEq(disputes.openChallenge(JOB), 1);
        vm.warp(START + WINDOW);
        vm.expectRevert(wrongState(EscrowTypes.State.Disputed, EscrowTypes.State.Proposed));
        escrow.finalize(JOB);
        vm.expectRevert(wrongState(EscrowTypes.State.Disputed, EscrowTypes.State.Open));
        escrow.refund(JOB);
    }

    function test_UpheldVoidsSlashesAndReturnsTheBond() public {
        uint256 id = challenge(JOB, operator);
        vm.expectEmit();
        emit DisputeTypes.ProposalFaulty(JOB, DisputeTypes.Fault.Ruling, challenger);
        vm.prank(stranger);
        disputes.rule(id, true, 2_500, ruling(id, true, 2_500, 2));
        vm.assertEq(uint256(stateOf(JOB)), uint256(EscrowTypes.State.Open));
        vm.assertEq(activeOf(operator), 75 ether);
        vm.assertEq(token.balanceOf(challenger), 105 ether);
        vm.assertEq(token.balanceOf(address(disputes)), 0);
        vm.assertEq(uint256(disputes.challengeOf(id).outcome), uint256(DisputeTypes.Outcome.Upheld));
        proposeJob(30 ether);
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
    }

    function test_DismissedBurnsTheBondAndLetsTheProposalStand() public {
        uint256 id = challenge(JOB, operator);
        vm.warp(START + WINDOW);
        uint256 supply = token.totalSupply();
        vm.expectEmit();
        emit DisputeTypes.ChallengeClosed(id, DisputeTypes.Outcome.Dismissed, 0);
        disputes.rule(id, false, 0, ruling(id, false, 0, 3));
        vm.assertEq(supply - token.totalSupply(), BOND);
        vm.assertEq(activeOf(operator), 100 ether);
        escrow.finalize(JOB);
    }

    function test_AnOperatorIsChallengedWithoutAJob() public {
        uint256 id = challenge(0, operator);
        disputes.rule(id, true, 10_000, ruling(id, true, 10_000, 2));
        vm.assertEq(activeOf(operator), 0);
        vm.assertEq(uint256(stateOf(JOB)), uint256(EscrowTypes.State.Proposed));
        id = challenge(0, operator);
        disputes.rule(id, true, 0, ruling(id, true, 0, 2));
        id = challenge(0, operator);
        disputes.rule(id, false, 0, ruling(id, false, 0, 2));
        vm.assertEq(token.balanceOf(challenger), 100 ether - BOND + 20 ether);
    }

    function test_UndecidedLapses() public {
        uint256 id = challenge(JOB, address(0));
        vm.warp(START + RULING);
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.RulingPending.selector, START + RULING, START + RULING));
        disputes.lapse(id);
        vm.warp(START + RULING + 1);
        bytes[] memory late = ruling(id, true, 0, 2);
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.RulingTooLate.selector, START + RULING + 1, START + RULING));
        disputes.rule(id, true, 0, late);
        disputes.lapse(id);
        vm.assertEq(token.balanceOf(challenger), 100 ether);
        escrow.finalize(JOB);
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.ChallengeNotOpen.selector, id));
        disputes.lapse(id);
    }

    function test_AProofEndsAnOpenChallenge() public {
        vm.prank(address(disputes));
        escrow.voidProposal(JOB);
        bytes32 leaf = escrow.receiptLeaf(receipt(0), "");
        vm.prank(coordinator);
        escrow.propose(JOB, 7 ether, leaf, 1);
        uint256 id = challenge(JOB, operator);
        disputes.proveInvalidReceipt(JOB, DisputeTypes.Leaf(receipt(0), "", new ReceiptTree.Sibling[](0)));
        vm.assertEq(token.balanceOf(challenger), 100 ether);
        vm.assertEq(uint256(disputes.challengeOf(id).outcome), uint256(DisputeTypes.Outcome.Upheld));
        vm.assertEq(activeOf(operator), 100 ether);
        bytes[] memory signatures = ruling(id, false, 0, 2);
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.ChallengeNotOpen.selector, id));
        disputes.rule(id, false, 0, signatures);
    }

    function test_RevertWhen_ChallengedTwice() public {
        uint256 id = challenge(JOB, address(0));
        disputes.rule(id, false, 0, ruling(id, false, 0, 2));
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.AlreadyChallenged.selector, JOB));
        challenge(JOB, address(0));
        // Another proposal of the job can be.
        vm.prank(address(disputes));
        escrow.voidProposal(JOB);
        proposeJob(1);
        challenge(JOB, address(0));
    }

    function test_RevertWhen_ChallengedWithoutReason() public {
        vm.expectRevert(DisputeTypes.NothingChallenged.selector);
        challenge(0, address(0));
        vm.expectRevert(abi.encodeWithSelector(RegistryTypes.NotRegistered.selector, stranger));
        challenge(0, stranger);
        vm.expectRevert(
            abi.encodeWithSelector(
                EscrowTypes.WrongState.selector, ROOT, EscrowTypes.State.None, EscrowTypes.State.Proposed
            )
        );
        challenge(ROOT, address(0));
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.WindowOver.selector, START + WINDOW, START + WINDOW));
        challenge(JOB, address(0));
    }

    function test_RevertWhen_TheSignaturesDoNotSuffice() public {
        uint256 id = challenge(JOB, operator);
        bytes[] memory two = ruling(id, true, 100, 2);
        bytes[] memory one_ = ruling(id, true, 100, 1);
        vm.expectRevert(abi.encodeWithSelector(Auditors.TooFewSignatures.selector, 1, 2));
        disputes.rule(id, true, 100, one_);
        // For another ruling: whoever is recovered is nobody of the panel.
        vm.expectRevert();
        disputes.rule(id, true, 101, two);
        // One auditor twice, the wrong order, somebody else, nonsense.
        address first = vm.addr(auditorKeys[0]);
        bytes[] memory bad = ruling(id, true, 100, 2);
        bad[1] = bad[0];
        vm.expectRevert(abi.encodeWithSelector(Auditors.InvalidAuditorSignature.selector, 1, first));
        disputes.rule(id, true, 100, bad);
        (bad[0], bad[1]) = (two[1], two[0]);
        vm.expectRevert(abi.encodeWithSelector(Auditors.InvalidAuditorSignature.selector, 1, first));
        disputes.rule(id, true, 100, bad);
        bad[0] = signDigest(CLIENT_KEY, disputes.rulingDigest(id, true, 100));
        vm.expectRevert(abi.encodeWithSelector(Auditors.InvalidAuditorSignature.selector, 0, client));
        disputes.rule(id, true, 100, bad);
        bad[0] = "";
        vm.expectRevert(abi.encodeWithSelector(Auditors.InvalidAuditorSignature.selector, 0, address(0)));
        disputes.rule(id, true, 100, bad);
    }

    function test_RevertWhen_ARulingSlashesTooMuchOrNobody() public {
        uint256 id = challenge(JOB, address(0));
        bytes[] memory none = new bytes[](0);
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.ShareTooHigh.selector, 10_001, 10_000));
        disputes.rule(id, true, 10_001, none);
        vm.expectRevert(DisputeTypes.NobodyToSlash.selector);
        disputes.rule(id, true, 1, none);
        id = challenge(0, operator);
        vm.expectRevert(DisputeTypes.NobodyToSlash.selector);
        disputes.rule(id, false, 1, none);
        vm.expectRevert(abi.encodeWithSelector(DisputeTypes.ChallengeNotOpen.selector, 9));
        disputes.rule(9, true, 1, none);
    }

    /// @dev Where challenges cost nothing, none is paid back.
    function test_WithoutABond() public {
        DisputeTypes.Terms memory terms = disputeTerms();
        terms.bond = 0;
        disputes = new Disputes(escrow, registry, address(this), auditors(), 1, terms);
        uint256 id = disputes.challenge(0, operator, ROOT);
        disputes.rule(id, false, 0, ruling(id, false, 0, 1));
        vm.assertEq(uint256(disputes.challengeOf(id).outcome), uint256(DisputeTypes.Outcome.Dismissed));
    }

    // -- panels

    function test_AnotherPanelTakesOfficeAfterEverybodyCouldLeave() public {
        address[] memory others = only(stranger);
        vm.expectEmit();
        emit Auditors.PanelAnnounced(2, others, 1, uint40(START + UNBONDING + RULING));
        disputes.announcePanel(others, 1);
        vm.assertTrue(disputes.isAuditor(vm.addr(auditorKeys[0])));
        vm.assertFalse(disputes.isAuditor(stranger));
        vm.expectRevert(abi.encodeWithSelector(Auditors.PanelPending.selector, uint40(START + UNBONDING + RULING)));
        disputes.announcePanel(others, 1);
        vm.warp(START + UNBONDING + RULING);
        vm.assertFalse(disputes.isAuditor(vm.addr(auditorKeys[0])));
        vm.assertTrue(disputes.isAuditor(stranger));
        (uint32 panel, uint8 threshold) = disputes.activePanel();
        vm.assertEq(uint256(panel), 2);
        vm.assertEq(uint256(threshold), 1);
    }

    function test_RevertWhen_APanelIsNone() public {
        expectInvalidPanel(new address[](0), 0);
        expectInvalidPanel(new address[](65), 1);
        expectInvalidPanel(only(stranger), 0);
        expectInvalidPanel(only(stranger), 2);
        vm.expectRevert(abi.encodeWithSelector(Auditors.InvalidAuditor.selector, address(0)));
        disputes.announcePanel(only(address(0)), 1);
        address[] memory twice = new address[](2);
        (twice[0], twice[1]) = (stranger, stranger);
        vm.expectRevert(abi.encodeWithSelector(Auditors.InvalidAuditor.selector, stranger));
        disputes.announcePanel(twice, 1);
        bytes memory refusal =
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, bytes32(0));
        vm.expectRevert(refusal);
        vm.prank(stranger);
        disputes.announcePanel(only(stranger), 1);
    }

    function expectInvalidPanel(address[] memory all, uint8 threshold) private {
        vm.expectRevert(abi.encodeWithSelector(Auditors.InvalidPanel.selector, all.length, threshold));
        disputes.announcePanel(all, threshold);
    }

    function challenge(bytes32 job, address who) private returns (uint256) {
        vm.prank(challenger);
        return disputes.challenge(job, who, keccak256("evidence"));
    }
}
