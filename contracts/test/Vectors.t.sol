// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BondTypes} from "../src/BondTypes.sol";
import {CoordinatorBond} from "../src/CoordinatorBond.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {ReceiptTree} from "../src/ReceiptTree.sol";
import {SignedMessages} from "../src/SignedMessages.sol";
import {Base} from "./Base.sol";

/// @dev Writes what the contracts compute for fixed inputs, so that other languages can be checked against it.
contract VectorsTest is Base {
    function test_WriteVectors() public {
        vm.chainId(31337);
        SignedMessages.Receipt memory first = receipt(0);
        SignedMessages.Receipt memory second = receipt(1);
        second.price = 5 ether;
        bytes32 root = ReceiptTree.parent(leafOf(first), first.price, leafOf(second), second.price);
        openJob();
        vm.prank(coordinator);
        escrow.propose(JOB, 12 ether, root, 2);
        bytes memory signature = signReceipt(first);
        vm.assertTrue(escrow.verifyReceipt(first, signature, beside(leafOf(second), second.price)));

        string memory domain = domainVector();
        string memory orders = orderVector();
        string memory permits = permitVector();
        string memory receipts = receiptVector(first, second, root, signature);
        string memory reward = rewardVector();
        vm.serializeString("all", "domain", domain);
        vm.serializeString("all", "jobOrder", orders);
        vm.serializeString("all", "permit", permits);
        vm.serializeString("all", "receipt", receipts);
        vm.serializeString("all", "reward", reward);
        vm.serializeString("all", "commitment", commitmentVector());
        vm.serializeString("all", "nodeKey", nodeKeyVector());
        vm.serializeString("all", "acknowledgement", acknowledgementVector());
        vm.writeJson(vm.serializeString("all", "ruling", rulingVector()), "./out/vectors.json");
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
        SignedMessages.Receipt memory first,
        SignedMessages.Receipt memory second,
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
        vm.serializeBytes32("receipt", "leaf", escrow.receiptLeaf(first, signature));
        vm.serializeBytes32("receipt", "siblingLeaf", leafOf(second));
        vm.serializeString("receipt", "siblingPrice", vm.toString(second.price));
        vm.serializeBytes32("receipt", "root", root);
        vm.serializeBytes32("receipt", "privateKey", bytes32(SIGNER_KEY));
        vm.serializeAddress("receipt", "signer", signer);
        return vm.serializeBytes("receipt", "signature", signature);
    }

    function commitmentVector() private returns (string memory) {
        SignedMessages.Commitment memory made = SignedMessages.Commitment(keccak256("lease"), 3, ROOT, 64);
        bytes32 digest = escrow.commitmentDigest(made);
        vm.serializeString("commitment", "type", "Commitment(bytes32 lease,uint64 token,bytes32 root,uint64 cells)");
        vm.serializeBytes32("commitment", "lease", made.lease);
        vm.serializeUint("commitment", "token", made.token);
        vm.serializeBytes32("commitment", "root", made.root);
        vm.serializeUint("commitment", "cells", made.cells);
        vm.serializeBytes32("commitment", "typeHash", escrow.COMMITMENT_TYPEHASH());
        vm.serializeBytes32("commitment", "privateKey", bytes32(NODE_KEY));
        vm.serializeAddress("commitment", "node", node);
        vm.serializeBytes32("commitment", "digest", digest);
        return vm.serializeBytes("commitment", "signature", signDigest(NODE_KEY, digest));
    }

    function nodeKeyVector() private returns (string memory) {
        bytes32 digest = registry.nodeKeyDigest(node, operator);
        vm.serializeString("nodeKey", "type", "NodeKey(address node,address operator)");
        vm.serializeAddress("nodeKey", "node", node);
        vm.serializeAddress("nodeKey", "operator", operator);
        vm.serializeAddress("nodeKey", "verifyingContract", address(registry));
        vm.serializeBytes32("nodeKey", "privateKey", bytes32(NODE_KEY));
        vm.serializeBytes32("nodeKey", "digest", digest);
        return vm.serializeBytes("nodeKey", "signature", signDigest(NODE_KEY, digest));
    }

    function rulingVector() private returns (string memory) {
        bytes32 digest = disputes.rulingDigest(7, true, 2_500);
        vm.serializeString("ruling", "type", "Ruling(uint256 challenge,bool upheld,uint16 slashBps)");
        vm.serializeUint("ruling", "challenge", 7);
        vm.serializeUint("ruling", "slashBps", 2_500);
        vm.serializeAddress("ruling", "verifyingContract", address(disputes));
        vm.serializeBytes32("ruling", "privateKey", bytes32(auditorKeys[0]));
        vm.serializeBytes32("ruling", "digest", digest);
        return vm.serializeBytes("ruling", "signature", signDigest(auditorKeys[0], digest));
    }

    function acknowledgementVector() private returns (string memory) {
        CoordinatorBond bond = new CoordinatorBond(escrow, 90 days);
        BondTypes.Acknowledgement memory told =
            BondTypes.Acknowledgement(JOB, 4, keccak256("lease"), node, ROOT, 6 ether);
        bytes32 digest = bond.acknowledgementDigest(told);
        vm.serializeString(
            "told",
            "type",
            "Acknowledgement(bytes32 job,uint64 tile,bytes32 lease,address node,bytes32 root,uint256 amount)"
        );
        vm.serializeBytes32("told", "job", told.job);
        vm.serializeUint("told", "tile", told.tile);
        vm.serializeBytes32("told", "lease", told.lease);
        vm.serializeAddress("told", "node", told.node);
        vm.serializeBytes32("told", "root", told.root);
        vm.serializeString("told", "amount", vm.toString(told.amount));
        vm.serializeBytes32("told", "typeHash", bond.ACKNOWLEDGEMENT_TYPEHASH());
        vm.serializeAddress("told", "verifyingContract", address(bond));
        vm.serializeBytes32("told", "privateKey", bytes32(SIGNER_KEY));
        vm.serializeBytes32("told", "digest", digest);
        return vm.serializeBytes("told", "signature", signDigest(SIGNER_KEY, digest));
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
