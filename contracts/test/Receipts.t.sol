// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobEscrow} from "../src/JobEscrow.sol";
import {ReceiptTree} from "../src/ReceiptTree.sol";
import {SignedMessages} from "../src/SignedMessages.sol";
import {Base} from "./Base.sol";

contract ReceiptsTest is Base {
    bytes32 private sibling;
    bytes private signature;

    function setUp() public override {
        super.setUp();
        openJob();
        sibling = leafOf(receipt(1));
        signature = signReceipt(receipt(0));
        bytes32 root = ReceiptTree.parent(leafOf(receipt(0)), 7 ether, sibling, 7 ether);
        vm.prank(coordinator);
        escrow.propose(JOB, 14 ether, root, 2);
    }

    function test_VerifiesWhileProposedAndAfter() public {
        vm.assertTrue(escrow.verifyReceipt(receipt(0), signature, beside(sibling, 7 ether)));
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
        vm.assertTrue(escrow.verifyReceipt(receipt(0), signature, beside(sibling, 7 ether)));
    }

    function test_LeafIsHashedTwiceWithTheSignature() public view {
        bytes32 structHash = escrow.receiptStructHash(receipt(0));
        bytes32 inner = keccak256(abi.encode(structHash, keccak256(signature)));
        vm.assertEq(escrow.receiptLeaf(receipt(0), signature), keccak256(abi.encode(inner)));
    }

    /// @dev The sums are part of the tree, and the root's is the price.
    function test_RefusesWrongSums() public {
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, beside(sibling, 6 ether)));
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, beside(sibling, uint256(type(uint96).max) + 1)));
        vm.prank(address(disputes));
        escrow.voidProposal(JOB);
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, beside(sibling, 7 ether)));
        bytes32 root = ReceiptTree.parent(leafOf(receipt(0)), 7 ether, sibling, 7 ether);
        vm.prank(coordinator);
        escrow.propose(JOB, 15 ether, root, 2);
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, beside(sibling, 7 ether)));
    }

    /// @dev An honest tree of any size verifies from every leaf, and its root's sum is that of its leaves.
    function testFuzz_EveryLeafOfATreeVerifies(uint8 size, uint64 price) public {
        uint256 count = 1 + size % 9;
        bytes32[] memory hashes = new bytes32[](count);
        uint256[] memory sums = new uint256[](count);
        for (uint64 i = 0; i < count; ++i) {
            SignedMessages.Receipt memory each = priced(i, price);
            (hashes[i], sums[i]) = (leafOf(each), each.price);
        }
        (bytes32 root, uint256 total,) = climb(hashes, sums, 0);
        vm.prank(address(disputes));
        escrow.voidProposal(JOB);
        vm.prank(coordinator);
        escrow.propose(JOB, total, root, uint64(count));
        for (uint64 i = 0; i < count; ++i) {
            (,, ReceiptTree.Sibling[] memory path) = climb(hashes, sums, i);
            vm.assertTrue(escrow.verifyReceipt(priced(i, price), signReceipt(priced(i, price)), path));
        }
    }

    function priced(uint64 tile, uint64 price) private view returns (SignedMessages.Receipt memory each) {
        each = receipt(tile);
        each.price = uint256(keccak256(abi.encode(price, tile))) % 10 ether;
    }

    /// @dev Root, sum, and the path of one leaf; an odd node moves up as it is.
    function climb(bytes32[] memory hashes, uint256[] memory sums, uint256 index)
        private
        pure
        returns (bytes32 root, uint256 sum, ReceiptTree.Sibling[] memory path)
    {
        (bytes32[] memory level, uint256[] memory below) = (hashes, sums);
        while (level.length > 1) {
            uint256 other = index ^ 1;
            if (other < level.length) path = append(path, ReceiptTree.Sibling(level[other], below[other]));
            (level, below) = above(level, below);
            index /= 2;
        }
        return (level[0], below[0], path);
    }

    function above(bytes32[] memory hashes, uint256[] memory sums)
        private
        pure
        returns (bytes32[] memory level, uint256[] memory below)
    {
        level = new bytes32[]((hashes.length + 1) / 2);
        below = new uint256[](level.length);
        for (uint256 i = 0; i < level.length; ++i) {
            uint256 j = 2 * i;
            bool odd = j + 1 == hashes.length;
            level[i] = odd ? hashes[j] : ReceiptTree.parent(hashes[j], sums[j], hashes[j + 1], sums[j + 1]);
            below[i] = odd ? sums[j] : sums[j] + sums[j + 1];
        }
    }

    function append(ReceiptTree.Sibling[] memory path, ReceiptTree.Sibling memory last)
        private
        pure
        returns (ReceiptTree.Sibling[] memory longer)
    {
        longer = new ReceiptTree.Sibling[](path.length + 1);
        for (uint256 i = 0; i < path.length; ++i) {
            longer[i] = path[i];
        }
        longer[path.length] = last;
    }

    function testFuzz_RefusesAnyChange(uint8 field, uint64 change) public view {
        vm.assume(change != 0);
        SignedMessages.Receipt memory changed = receipt(0);
        if (field % 6 == 0) changed.job ^= bytes32(uint256(change));
        else if (field % 6 == 1) changed.tile ^= change;
        else if (field % 6 == 2) changed.attempt ^= change;
        else if (field % 6 == 3) changed.node = address(uint160(changed.node) ^ change);
        else if (field % 6 == 4) changed.commitment ^= bytes32(uint256(change));
        else changed.price ^= change;
        vm.assertFalse(escrow.verifyReceipt(changed, signature, beside(sibling, 7 ether)));
    }

    /// @dev A changed receipt is refused by the tree even where a signer signed it, and one of the tree without a
    ///      signature is refused too: both are needed.
    function test_NeedsBothSignatureAndRoot() public view {
        SignedMessages.Receipt memory unlisted = receipt(2);
        bytes memory good = signDigest(SIGNER_KEY, escrow.receiptDigest(unlisted));
        vm.assertFalse(escrow.verifyReceipt(unlisted, good, beside(sibling, 7 ether)));
        bytes memory foreign = signDigest(CLIENT_KEY, escrow.receiptDigest(receipt(0)));
        vm.assertFalse(escrow.verifyReceipt(receipt(0), foreign, beside(sibling, 7 ether)));
    }

    function testFuzz_RefusesNoise(bytes calldata noise, ReceiptTree.Sibling[] calldata proof) public view {
        vm.assertFalse(escrow.verifyReceipt(receipt(0), noise, beside(sibling, 7 ether)));
        vm.assume(proof.length != 1 || proof[0].hash != sibling);
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, proof));
    }

    function test_RefusesAnotherChainsSignature() public {
        vm.chainId(1);
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, beside(sibling, 7 ether)));
    }

    function test_RefusesARevokedSigner() public {
        escrow.revokeRole(escrow.RECEIPT_SIGNER_ROLE(), signer);
        vm.assertFalse(escrow.verifyReceipt(receipt(0), signature, beside(sibling, 7 ether)));
    }

    function test_RefusesAJobWithoutProposal() public {
        SignedMessages.Receipt memory other = receipt(0);
        other.job = keccak256("other");
        bytes memory signed = signDigest(SIGNER_KEY, escrow.receiptDigest(other));
        vm.assertFalse(escrow.verifyReceipt(other, signed, beside(sibling, 7 ether)));
        vm.prank(client);
        escrow.open(other.job, CAP, DEADLINE);
        vm.assertFalse(escrow.verifyReceipt(other, signed, beside(sibling, 7 ether)));
    }
}
