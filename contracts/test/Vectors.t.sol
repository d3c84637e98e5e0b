// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobEscrow} from "../src/JobEscrow.sol";
import {Base} from "./Base.sol";

/// @dev Writes what the contracts compute for fixed inputs, so that other languages can be checked against it.
contract VectorsTest is Base {
    function test_WriteVectors() public {
        vm.chainId(31337);
        JobEscrow.Receipt memory first = receipt(0);
        JobEscrow.Receipt memory second = receipt(1);
        bytes32 root = hashPair(escrow.receiptLeaf(first), escrow.receiptLeaf(second));
        openJob();
        vm.prank(coordinator);
        escrow.propose(JOB, 14 ether, root, 2);
        bytes memory signature = signDigest(SIGNER_KEY, escrow.receiptDigest(first));
        vm.assertTrue(escrow.verifyReceipt(first, signature, one(escrow.receiptLeaf(second))));

        string memory domain = domainVector();
        string memory orders = orderVector();
        string memory permits = permitVector();
        string memory receipts = receiptVector(first, second, root, signature);
        string memory reward = rewardVector();
        vm.serializeString("all", "domain", domain);
        vm.serializeString("all", "jobOrder", orders);
        vm.serializeString("all", "permit", permits);
        vm.serializeString("all", "receipt", receipts);
        vm.writeJson(vm.serializeString("all", "reward", reward), "./out/vectors.json");
    }

    function domainVector() private returns (string memory) {
        vm.serializeString("domain", "name", "kilnet");
        vm.serializeString("domain", "version", "1");
        vm.serializeUint("domain", "chainId", block.chainid);
        vm.serializeAddress("domain", "token", address(token));
        return vm.serializeAddress("domain", "verifyingContract", address(escrow));
    }

    function orderVector() private returns (string memory) {
        bytes32 digest = escrow.orderDigest(order());
        vm.serializeString("order", "type", "JobOrder(bytes32 job,address client,uint256 cap,uint64 deadline)");
        vm.serializeBytes32("order", "job", JOB);
        vm.serializeAddress("order", "client", client);
        vm.serializeString("order", "cap", vm.toString(CAP));
        vm.serializeUint("order", "deadline", DEADLINE);
        vm.serializeBytes32("order", "typeHash", escrow.JOB_ORDER_TYPEHASH());
        vm.serializeBytes32("order", "privateKey", bytes32(CLIENT_KEY));
        vm.serializeBytes32("order", "digest", digest);
        return vm.serializeBytes("order", "signature", signDigest(CLIENT_KEY, digest));
    }

    function permitVector() private returns (string memory) {
        bytes32 digest = permitDigest(CAP, DEADLINE);
        vm.serializeString(
            "permit", "type", "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
        );
        vm.serializeAddress("permit", "owner", client);
        vm.serializeAddress("permit", "spender", address(escrow));
        vm.serializeString("permit", "value", vm.toString(CAP));
        vm.serializeUint("permit", "nonce", token.nonces(client));
        vm.serializeUint("permit", "deadline", DEADLINE);
        vm.serializeBytes32("permit", "digest", digest);
        return vm.serializeBytes("permit", "signature", signDigest(CLIENT_KEY, digest));
    }

    function receiptVector(
        JobEscrow.Receipt memory first,
        JobEscrow.Receipt memory second,
        bytes32 root,
        bytes memory signature
    ) private returns (string memory) {
        vm.serializeString(
            "receipt",
            "type",
            "Receipt(bytes32 job,uint64 tile,uint64 attempt,address node,bytes32 commitment,uint256 price)"
        );
        vm.serializeBytes32("receipt", "job", first.job);
        vm.serializeUint("receipt", "tile", first.tile);
        vm.serializeUint("receipt", "attempt", first.attempt);
        vm.serializeAddress("receipt", "node", first.node);
        vm.serializeBytes32("receipt", "commitment", first.commitment);
        vm.serializeString("receipt", "price", vm.toString(first.price));
        vm.serializeBytes32("receipt", "typeHash", escrow.RECEIPT_TYPEHASH());
        vm.serializeBytes32("receipt", "structHash", escrow.receiptStructHash(first));
        vm.serializeBytes32("receipt", "digest", escrow.receiptDigest(first));
        vm.serializeBytes32("receipt", "leaf", escrow.receiptLeaf(first));
        vm.serializeBytes32("receipt", "siblingLeaf", escrow.receiptLeaf(second));
        vm.serializeBytes32("receipt", "root", root);
        vm.serializeBytes32("receipt", "privateKey", bytes32(SIGNER_KEY));
        vm.serializeAddress("receipt", "signer", signer);
        return vm.serializeBytes("receipt", "signature", signature);
    }

    function rewardVector() private returns (string memory) {
        bytes32 leaf = rewards.rewardLeaf(node, 5 ether);
        bytes32 sibling = rewards.rewardLeaf(stranger, 3 ether);
        vm.serializeAddress("reward", "account", node);
        vm.serializeString("reward", "cumulative", vm.toString(uint256(5 ether)));
        vm.serializeBytes32("reward", "leaf", leaf);
        vm.serializeBytes32("reward", "siblingLeaf", sibling);
        return vm.serializeBytes32("reward", "root", hashPair(leaf, sibling));
    }
}
