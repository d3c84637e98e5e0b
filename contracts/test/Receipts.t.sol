// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobEscrow} from "../src/JobEscrow.sol";
import {Base} from "./Base.sol";

contract ReceiptsTest is Base {
    bytes32 private sibling;
    bytes private signature;

    function setUp() public override {
        super.setUp();
        openJob();
        sibling = escrow.receiptLeaf(receipt(1));
        signature = signDigest(SIGNER_KEY, escrow.receiptDigest(receipt(0)));
        bytes32 root = hashPair(escrow.receiptLeaf(receipt(0)), sibling);
        vm.prank(coordinator);
        escrow.propose(JOB, 14 ether, root, 2);
    }

    function test_VerifiesWhileProposedAndAfter() public {
        vm.assertTrue(escrow.verifyReceipt(receipt(0), signature, one(sibling)));
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
        vm.assertTrue(escrow.verifyReceipt(receipt(0), signature, one(sibling)));
    }

    function test_LeafIsTheStructHashHashed() public view {
        bytes32 structHash = escrow.receiptStructHash(receipt(0));
        vm.assertEq(escrow.receiptLeaf(receipt(0)), keccak256(abi.encode(structHash)));
    }

    function testFuzz_RefusesAnyChange(uint8 field, uint64 change) public view {
        vm.assume(change != 0);
        JobEscrow.Receipt memory changed = receipt(0);
        if (field % 6 == 0) changed.job ^= bytes32(uint256(change));
        else if (field % 6 == 1) changed.tile ^= change;
        else if (field % 6 == 2) changed.attempt ^= change;
        else if (field % 6 == 3) changed.node = address(uint160(changed.node) ^ change);
        else if (field % 6 == 4) changed.commitment ^= bytes32(uint256(change));
        else changed.price ^= change;
        vm.assertFalse(escrow.verifyReceipt(changed, signature, one(sibling)));
    }

    /// @dev A changed receipt is refused by the tree even where a signer signed it, and one of the tree without a
    ///      signature is refused too: both are needed.
    function test_NeedsBothSignatureAndRoot() public view {
        JobEscrow.Receipt memory unlisted = receipt(2);
        bytes memory good = signDigest(SIGNER_KEY, escrow.receiptDigest(unlisted));
        vm.assertFalse(escrow.verifyReceipt(unlisted, good, one(sibling)));
        bytes memory foreign = signDigest(CLIENT_KEY, escrow.receiptDigest(receipt(0)));
        vm.assertFalse(escrow.verifyReceipt(receipt(0), foreign, one(sibling)));
    }

    function testFuzz_RefusesNoise(bytes calldata noise, bytes32[] calldata proof) public view {
        vm.assertFalse(escrow.verifyReceipt(receipt(0), noise, one(sibling)));
        vm.assume(proof.length != 1 || proof[0] != sibling);
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, proof));
    }

    function test_RefusesAnotherChainsSignature() public {
        vm.chainId(1);
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, one(sibling)));
    }

    function test_RefusesARevokedSigner() public {
        escrow.revokeRole(escrow.RECEIPT_SIGNER_ROLE(), signer);
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, one(sibling)));
    }

    function test_RefusesAJobWithoutProposal() public {
        JobEscrow.Receipt memory other = receipt(0);
        other.job = keccak256("other");
        bytes memory signed = signDigest(SIGNER_KEY, escrow.receiptDigest(other));
        vm.assertFalse(escrow.verifyReceipt(other, signed, one(sibling)));
        vm.prank(client);
        escrow.open(other.job, CAP, DEADLINE);
        vm.assertFalse(escrow.verifyReceipt(other, signed, one(sibling)));
    }
}
