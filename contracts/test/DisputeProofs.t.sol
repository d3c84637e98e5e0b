// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DisputeTypes} from "../src/DisputeTypes.sol";
import {Disputes} from "../src/Disputes.sol";
import {EscrowTypes} from "../src/EscrowTypes.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {ReceiptTree} from "../src/ReceiptTree.sol";
import {SignedMessages} from "../src/SignedMessages.sol";
import {Base} from "./Base.sol";

/// @dev What the chain checks by itself: each fault is shown and has its consequence, and no honest proposal or node
///      can be shown to be at fault.
contract DisputeProofsTest is Base {
    function setUp() public override {
        super.setUp();
        openJob();
        registerOperator(100 ether, 0, false);
    }

    // -- equivocation

    function test_TwoRootsForOneTokenAreSlashed() public {
        uint256 supply = token.totalSupply();
        vm.expectEmit();
        emit DisputeTypes.EquivocationProven(node, operator, keccak256("lease"), 3, stranger);
        equivocate(commitment(ROOT, 64), NODE_KEY, commitment(JOB, 64), NODE_KEY);
        vm.assertEq(activeOf(operator), 50 ether);
        vm.assertEq(token.balanceOf(stranger), 10 ether);
        vm.assertEq(supply - token.totalSupply(), 40 ether);
    }

    function test_AnotherNumberOfCellsIsAContradictionToo() public {
        equivocate(commitment(ROOT, 64), NODE_KEY, commitment(ROOT, 65), NODE_KEY);
        vm.assertEq(activeOf(operator), 50 ether);
    }

    function test_RevertWhen_ShownAgain() public {
        equivocate(commitment(ROOT, 64), NODE_KEY, commitment(JOB, 64), NODE_KEY);
        expectRefusal(
            commitment(JOB, 64),
            commitment(ROOT, 1),
            NODE_KEY,
            abi.encodeWithSelector(DisputeTypes.AlreadyProven.selector, node, keccak256("lease"), uint64(3))
        );
    }

    function test_RevertWhen_TheCommitmentsAgreeOrAreOfOthers() public {
        SignedMessages.Commitment memory other = commitment(JOB, 64);
        expectNoEquivocation(commitment(ROOT, 64), NODE_KEY, commitment(ROOT, 64), NODE_KEY);
        expectNoEquivocation(commitment(ROOT, 64), NODE_KEY, other, CLIENT_KEY);
        expectNoEquivocation(commitment(ROOT, 64), CLIENT_KEY, other, NODE_KEY);
        other.token = 4;
        expectNoEquivocation(commitment(ROOT, 64), NODE_KEY, other, NODE_KEY);
        (other.token, other.lease) = (3, ROOT);
        expectNoEquivocation(commitment(ROOT, 64), NODE_KEY, other, NODE_KEY);
    }

    function test_RevertWhen_TheSignaturesAreNone() public {
        vm.expectRevert(DisputeTypes.NoEquivocation.selector);
        disputes.proveEquivocation(commitment(ROOT, 64), "", commitment(JOB, 64), "");
    }

    function test_RevertWhen_SignedForAnotherChain() public {
        vm.chainId(1);
        bytes memory first = signDigest(NODE_KEY, escrow.commitmentDigest(commitment(ROOT, 64)));
        bytes memory second = signDigest(NODE_KEY, escrow.commitmentDigest(commitment(JOB, 64)));
        vm.chainId(31337);
        vm.expectRevert();
        disputes.proveEquivocation(commitment(ROOT, 64), first, commitment(JOB, 64), second);
        vm.assertEq(activeOf(operator), 100 ether);
    }

    function test_RevertWhen_NobodyAnswersForTheNode() public {
        bytes4 reason = DisputeTypes.UnknownNode.selector;
        expectRefusal(commitment(ROOT, 64), commitment(JOB, 64), CLIENT_KEY, abi.encodeWithSelector(reason, client));
        vm.prank(operator);
        registry.retireNode(node);
        vm.warp(START + UNBONDING);
        expectRefusal(commitment(ROOT, 64), commitment(JOB, 64), NODE_KEY, abi.encodeWithSelector(reason, node));
    }

    // -- receipts that are none

    function test_AnUnsignedReceiptVoids() public {
        (DisputeTypes.Leaf memory bad,) = proposePair(receipt(0), NODE_KEY, receipt(1), SIGNER_KEY, 14 ether);
        vm.expectEmit();
        emit DisputeTypes.ProposalFaulty(JOB, DisputeTypes.Fault.UnsignedReceipt, address(this));
        disputes.proveInvalidReceipt(JOB, bad);
        expectVoided();
    }

    function test_ASignatureThatIsNoneVoids() public {
        bytes32 leaf = escrow.receiptLeaf(receipt(0), "nonsense");
        propose(7 ether, leaf);
        disputes.proveInvalidReceipt(JOB, DisputeTypes.Leaf(receipt(0), "nonsense", new ReceiptTree.Sibling[](0)));
        expectVoided();
    }

    function test_AnotherJobsReceiptVoids() public {
        SignedMessages.Receipt memory foreign = receipt(0);
        foreign.job = ROOT;
        (DisputeTypes.Leaf memory bad,) = proposePair(foreign, SIGNER_KEY, receipt(1), SIGNER_KEY, 14 ether);
        vm.expectEmit();
        emit DisputeTypes.ProposalFaulty(JOB, DisputeTypes.Fault.ForeignReceipt, address(this));
        disputes.proveInvalidReceipt(JOB, bad);
        expectVoided();
    }

    // -- a tile twice

    function test_ATileWithTwoReceiptsVoids() public {
        SignedMessages.Receipt memory again = receipt(0);
        again.attempt = 2;
        (DisputeTypes.Leaf memory first, DisputeTypes.Leaf memory second) =
            proposePair(receipt(0), SIGNER_KEY, again, SIGNER_KEY, 14 ether);
        vm.expectEmit();
        emit DisputeTypes.ProposalFaulty(JOB, DisputeTypes.Fault.DuplicateTile, address(this));
        disputes.proveDuplicateTile(JOB, first, second);
        expectVoided();
    }

    function test_OneReceiptBesideItselfVoids() public {
        (DisputeTypes.Leaf memory leaf,) = proposePair(receipt(0), SIGNER_KEY, receipt(0), SIGNER_KEY, 14 ether);
        disputes.proveDuplicateTile(JOB, leaf, leaf);
        expectVoided();
    }

    function test_OneReceiptInTwoPlacesVoids() public {
        // ((0, 1), 0)
        (bytes32 zero, bytes32 one_) = (leafOf(receipt(0)), leafOf(receipt(1)));
        bytes32 left = ReceiptTree.parent(zero, 7 ether, one_, 7 ether);
        propose(21 ether, ReceiptTree.parent(left, 14 ether, zero, 7 ether));
        DisputeTypes.Leaf memory deep =
            DisputeTypes.Leaf(receipt(0), signReceipt(receipt(0)), new ReceiptTree.Sibling[](2));
        deep.path[0] = ReceiptTree.Sibling(one_, 7 ether);
        deep.path[1] = ReceiptTree.Sibling(zero, 7 ether);
        DisputeTypes.Leaf memory high = DisputeTypes.Leaf(receipt(0), deep.signature, beside(left, 14 ether));
        disputes.proveDuplicateTile(JOB, deep, high);
        expectVoided();
    }

    function test_TwinsHigherUpVoid() public {
        // ((0, 1), (0, 1))
        (bytes32 zero, bytes32 one_) = (leafOf(receipt(0)), leafOf(receipt(1)));
        bytes32 half = ReceiptTree.parent(zero, 7 ether, one_, 7 ether);
        propose(28 ether, ReceiptTree.parent(half, 14 ether, half, 14 ether));
        DisputeTypes.Leaf memory leaf =
            DisputeTypes.Leaf(receipt(0), signReceipt(receipt(0)), new ReceiptTree.Sibling[](2));
        leaf.path[0] = ReceiptTree.Sibling(one_, 7 ether);
        leaf.path[1] = ReceiptTree.Sibling(half, 14 ether);
        disputes.proveDuplicateTile(JOB, leaf, leaf);
        expectVoided();
    }

    // -- a wrong sum

    function test_APriceAboveTheReceiptsVoids() public {
        (DisputeTypes.Leaf memory leaf,) = proposePair(receipt(0), SIGNER_KEY, receipt(1), SIGNER_KEY, 15 ether);
        vm.expectEmit();
        emit DisputeTypes.ProposalFaulty(JOB, DisputeTypes.Fault.WrongSum, address(this));
        disputes.proveWrongSum(JOB, leaf.receipt, leaf.signature, claims(7 ether, leaf.path[0]));
        expectVoided();
    }

    function test_AnInflatedLeafVoids() public {
        // The parent says that the leaf sums up to 20, and the total agrees with that.
        bytes32 leaf = leafOf(receipt(0));
        bytes32 other = leafOf(receipt(1));
        propose(27 ether, ReceiptTree.parent(leaf, 20 ether, other, 7 ether));
        ReceiptTree.Claim[] memory path = claims(20 ether, ReceiptTree.Sibling(other, 7 ether));
        disputes.proveWrongSum(JOB, receipt(0), signReceipt(receipt(0)), path);
        expectVoided();
    }

    function test_AnInflatedBranchVoids() public {
        (bytes32 zero, bytes32 one_) = (leafOf(receipt(0)), leafOf(receipt(1)));
        bytes32 left = ReceiptTree.parent(zero, 7 ether, one_, 7 ether);
        bytes32 two = leafOf(receipt(2));
        propose(47 ether, ReceiptTree.parent(left, 40 ether, two, 7 ether));
        ReceiptTree.Claim[] memory path = new ReceiptTree.Claim[](2);
        path[0] = ReceiptTree.Claim(7 ether, ReceiptTree.Sibling(one_, 7 ether));
        path[1] = ReceiptTree.Claim(40 ether, ReceiptTree.Sibling(two, 7 ether));
        disputes.proveWrongSum(JOB, receipt(0), signReceipt(receipt(0)), path);
        expectVoided();
    }

    /// @dev Sums that wrap around at 2^256 so that the total fits again.
    function test_ASumThatWrapsVoids() public {
        uint256 huge;
        unchecked {
            huge = 0 - uint256(2 ether);
        }
        propose(5 ether, ReceiptTree.parent(leafOf(receipt(0)), 7 ether, ROOT, huge));
        ReceiptTree.Claim[] memory path = claims(7 ether, ReceiptTree.Sibling(ROOT, huge));
        disputes.proveWrongSum(JOB, receipt(0), signReceipt(receipt(0)), path);
        expectVoided();
    }

    function test_AReceiptOfMoreThan96BitsVoids() public {
        SignedMessages.Receipt memory huge = receipt(0);
        huge.price = 2 ** 96;
        bytes32 leaf = leafOf(huge);
        propose(1, leaf);
        disputes.proveWrongSum(JOB, huge, signReceipt(huge), new ReceiptTree.Claim[](0));
        expectVoided();
    }

    // -- an honest proposal stands

    /// @dev Whatever is claimed about an honest root, no proof voids it.
    function testFuzz_AnHonestProposalCannotBeVoided(
        SignedMessages.Receipt calldata noise,
        bytes calldata signature,
        ReceiptTree.Sibling[] calldata path,
        ReceiptTree.Claim[] calldata sums,
        uint256 claimed
    ) public {
        (DisputeTypes.Leaf memory first, DisputeTypes.Leaf memory second) =
            proposePair(receipt(0), SIGNER_KEY, receipt(1), SIGNER_KEY, 14 ether);
        DisputeTypes.Leaf memory fake = DisputeTypes.Leaf(noise, signature, path);
        bytes memory unknown = abi.encodeWithSelector(DisputeTypes.NotUnderRoot.selector, JOB);
        bytes memory noFault = abi.encodeWithSelector(DisputeTypes.NoFault.selector, JOB);
        vm.expectRevert(unknown);
        disputes.proveInvalidReceipt(JOB, fake);
        vm.expectRevert(unknown);
        disputes.proveDuplicateTile(JOB, first, fake);
        vm.expectRevert(unknown);
        disputes.proveDuplicateTile(JOB, fake, first);
        vm.expectRevert(unknown);
        disputes.proveWrongSum(JOB, noise, signature, sums);
        vm.expectRevert(noFault);
        disputes.proveInvalidReceipt(JOB, first);
        vm.expectRevert(noFault);
        disputes.proveDuplicateTile(JOB, first, second);
        vm.expectRevert(noFault);
        disputes.proveDuplicateTile(JOB, second, second);
        vm.expectRevert(noFault);
        disputes.proveWrongSum(JOB, first.receipt, first.signature, claims(7 ether, first.path[0]));
        if (claimed != 7 ether) {
            vm.expectRevert(unknown);
            disputes.proveWrongSum(JOB, first.receipt, first.signature, claims(claimed, first.path[0]));
        }
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
    }

    /// @dev There is no root to be wrong about: none was proposed, or the proposal has none.
    function test_RevertWhen_ThereIsNoRoot() public {
        bytes memory unknown = abi.encodeWithSelector(DisputeTypes.NotUnderRoot.selector, JOB);
        DisputeTypes.Leaf memory leaf = DisputeTypes.Leaf(receipt(0), "", new ReceiptTree.Sibling[](0));
        vm.expectRevert(unknown);
        disputes.proveInvalidReceipt(JOB, leaf);
        vm.expectRevert(unknown);
        disputes.proveWrongSum(JOB, receipt(0), "", new ReceiptTree.Claim[](0));
    }

    function test_RevertWhen_ShownTooLate() public {
        (DisputeTypes.Leaf memory leaf,) = proposePair(receipt(0), NODE_KEY, receipt(1), SIGNER_KEY, 14 ether);
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
        vm.expectRevert(wrongState(EscrowTypes.State.Finalized, EscrowTypes.State.Proposed));
        disputes.proveInvalidReceipt(JOB, leaf);
    }

    /// @dev Shown after the window, but before anybody finalized.
    function test_AFaultVoidsUntilTheJobIsFinal() public {
        (DisputeTypes.Leaf memory leaf,) = proposePair(receipt(0), NODE_KEY, receipt(1), SIGNER_KEY, 14 ether);
        vm.warp(START + WINDOW + 1);
        disputes.proveInvalidReceipt(JOB, leaf);
        expectVoided();
    }

    // -- after a voiding

    function test_ARightProposalFollows() public {
        test_AnUnsignedReceiptVoids();
        proposePair(receipt(0), SIGNER_KEY, receipt(1), SIGNER_KEY, 14 ether);
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
        vm.assertEq(escrow.totalBurned(), 13.3 ether);
    }

    function test_AfterTheFirstVoidingThereIsGraceEvenAfterTheDeadline() public {
        uint256 last = DEADLINE + GRACE;
        vm.warp(last);
        proposePair(receipt(0), NODE_KEY, receipt(1), SIGNER_KEY, 14 ether);
        vm.warp(last + 10);
        DisputeTypes.Leaf memory bad = leafFor(receipt(0), NODE_KEY, leafBy(receipt(1), SIGNER_KEY));
        disputes.proveInvalidReceipt(JOB, bad);
        vm.warp(last + 10 + GRACE);
        vm.expectRevert(
            abi.encodeWithSelector(EscrowTypes.RefundTooEarly.selector, last + 10 + GRACE, last + 10 + GRACE)
        );
        escrow.refund(JOB);
        proposePair(receipt(0), NODE_KEY, receipt(1), SIGNER_KEY, 14 ether);
        disputes.proveInvalidReceipt(JOB, bad);
        // Not a second time.
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.ProposalTooLate.selector, last + 10 + GRACE, last));
        proposeJob(1);
        escrow.refund(JOB);
    }

    function test_AfterThreeVoidingsOnlyTheRefundIsLeft() public {
        for (uint256 i = 0; i < 3; ++i) {
            (DisputeTypes.Leaf memory bad,) = proposePair(receipt(0), NODE_KEY, receipt(1), SIGNER_KEY, 14 ether);
            disputes.proveInvalidReceipt(JOB, bad);
        }
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.TooManyVoided.selector, JOB));
        proposeJob(1);
        uint256 before = token.balanceOf(client);
        escrow.refund(JOB);
        vm.assertEq(token.balanceOf(client), before + CAP);
    }

    function testFuzz_RevertWhen_AnybodyElseDisputes(address anybody) public {
        vm.assume(anybody != address(disputes));
        proposeJob(1);
        bytes memory refusal = abi.encodeWithSelector(EscrowTypes.NotDisputes.selector, anybody);
        vm.startPrank(anybody);
        vm.expectRevert(refusal);
        escrow.dispute(JOB);
        vm.expectRevert(refusal);
        escrow.dismiss(JOB);
        vm.expectRevert(refusal);
        escrow.voidProposal(JOB);
        vm.stopPrank();
    }

    // -- helpers

    function commitment(bytes32 root, uint64 cells) private pure returns (SignedMessages.Commitment memory) {
        return SignedMessages.Commitment(keccak256("lease"), 3, root, cells);
    }

    function equivocate(
        SignedMessages.Commitment memory first,
        uint256 firstKey,
        SignedMessages.Commitment memory second,
        uint256 secondKey
    ) private {
        vm.startPrank(stranger);
        bytes memory one_ = signDigest(firstKey, escrow.commitmentDigest(first));
        disputes.proveEquivocation(first, one_, second, signDigest(secondKey, escrow.commitmentDigest(second)));
        vm.stopPrank();
    }

    function expectRefusal(
        SignedMessages.Commitment memory first,
        SignedMessages.Commitment memory second,
        uint256 key,
        bytes memory refusal
    ) private {
        bytes memory one_ = signDigest(key, escrow.commitmentDigest(first));
        bytes memory two = signDigest(key, escrow.commitmentDigest(second));
        vm.expectRevert(refusal);
        disputes.proveEquivocation(first, one_, second, two);
    }

    function expectNoEquivocation(
        SignedMessages.Commitment memory first,
        uint256 firstKey,
        SignedMessages.Commitment memory second,
        uint256 secondKey
    ) private {
        bytes memory one_ = signDigest(firstKey, escrow.commitmentDigest(first));
        bytes memory two = signDigest(secondKey, escrow.commitmentDigest(second));
        vm.expectRevert(DisputeTypes.NoEquivocation.selector);
        disputes.proveEquivocation(first, one_, second, two);
    }

    function leafBy(SignedMessages.Receipt memory of_, uint256 key) private view returns (bytes32) {
        return escrow.receiptLeaf(of_, signDigest(key, escrow.receiptDigest(of_)));
    }

    function leafFor(SignedMessages.Receipt memory of_, uint256 key, bytes32 next)
        private
        view
        returns (DisputeTypes.Leaf memory)
    {
        return DisputeTypes.Leaf(of_, signDigest(key, escrow.receiptDigest(of_)), beside(next, 7 ether));
    }

    function propose(uint256 price, bytes32 root) private {
        vm.prank(coordinator);
        escrow.propose(JOB, price, root, 2);
    }

    function proposePair(
        SignedMessages.Receipt memory first,
        uint256 firstKey,
        SignedMessages.Receipt memory second,
        uint256 secondKey,
        uint256 price
    ) private returns (DisputeTypes.Leaf memory, DisputeTypes.Leaf memory) {
        bytes32 one_ = leafBy(first, firstKey);
        bytes32 two = leafBy(second, secondKey);
        propose(price, ReceiptTree.parent(one_, first.price, two, second.price));
        return (leafFor(first, firstKey, two), leafFor(second, secondKey, one_));
    }

    function claims(uint256 sum, ReceiptTree.Sibling memory next)
        private
        pure
        returns (ReceiptTree.Claim[] memory path)
    {
        path = new ReceiptTree.Claim[](1);
        path[0] = ReceiptTree.Claim(sum, next);
    }

    function expectVoided() private view {
        EscrowTypes.Escrow memory kept = escrow.escrowOf(JOB);
        vm.assertEq(uint256(kept.state), uint256(EscrowTypes.State.Open));
        vm.assertEq(uint256(kept.voided), 1);
        vm.assertEq(kept.receiptRoot, 0);
        vm.assertEq(token.balanceOf(address(escrow)), CAP);
    }
}
