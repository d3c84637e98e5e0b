// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CoordinatorBond} from "../../src/CoordinatorBond.sol";
import {DisputeTypes} from "../../src/DisputeTypes.sol";
import {Disputes} from "../../src/Disputes.sol";
import {EscrowTypes} from "../../src/EscrowTypes.sol";
import {JobEscrow} from "../../src/JobEscrow.sol";
import {KilnToken} from "../../src/KilnToken.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {ReceiptTree} from "../../src/ReceiptTree.sol";
import {RewardDistributor} from "../../src/RewardDistributor.sol";
import {SignedMessages} from "../../src/SignedMessages.sol";
import {Vm} from "../Base.sol";

/// @dev What the players act on, whom they act for, and their own books. A player makes what it needs where there is
///      none (a job to finalize, stake to withdraw); where it cannot, it reverts, and forge counts no success.
abstract contract World {
    struct Parts {
        KilnToken token;
        JobEscrow escrow;
        NodeRegistry registry;
        Disputes disputes;
        RewardDistributor rewards;
        CoordinatorBond bond;
        address client;
        address coordinator;
        address guardian;
        uint256 signerKey;
        uint256[3] auditorKeys;
    }

    /// @dev A job, and what was proposed for it: two receipts, of both operators' nodes.
    struct Job {
        bytes32 id;
        uint96 cap;
        uint256[2] prices;
        Fault fault;
        EscrowTypes.State ended;
        uint96 stake;
    }

    enum Fault {
        None,
        Unsigned,
        Duplicate,
        Sum
    }

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint96 internal constant MOST = 10_000 ether;

    Parts internal parts;
    /// @dev The first shares with co-stakers, the second does not.
    address[2] internal operators = [address(0x0901), address(0x0902)];
    uint256[2] internal nodeKeys = [uint256(0x40DE1), 0x40DE2];
    address[2] internal stakers = [address(0x57A61), address(0x57A62)];
    address internal finder = address(0xF14D);

    Job[] internal jobs;
    uint256 internal leases;
    uint256[] internal challenges;

    /// @dev Books, in the smallest unit, kept apart from what the contracts say.
    uint256 public lockedCaps;
    uint256 public pricesPaid;
    uint256 public slashesBurned;
    uint256 public bondsBurned;
    uint256[2] public earned;
    /// @dev How often something happened that must not.
    uint256 public violations;
    string public lastViolation;

    function setUpWorld(Parts memory given) internal {
        parts = given;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 digest = given.registry.nodeKeyDigest(vm.addr(nodeKeys[i]), operators[i]);
            bytes memory signature = signDigest(nodeKeys[i], digest);
            vm.startPrank(operators[i]);
            given.registry.register(1_000);
            given.registry.addNode(vm.addr(nodeKeys[i]), signature);
            if (i == 0) given.registry.setTerms(true, 1_000);
            vm.stopPrank();
        }
    }

    function everybody() public view returns (address[6] memory) {
        return [operators[0], operators[1], stakers[0], stakers[1], finder, parts.client];
    }

    function blame(string memory what) internal {
        ++violations;
        lastViolation = what;
    }

    function signDigest(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev A receipt of a job's proposal, with the signature that it was proposed with.
    function receiptOf(Job storage job, uint256 index)
        internal
        view
        returns (SignedMessages.Receipt memory receipt, bytes memory signature)
    {
        uint64 tile = uint64(job.fault == Fault.Duplicate ? 0 : index);
        receipt = SignedMessages.Receipt(
            job.id, tile, 1, vm.addr(nodeKeys[index]), keccak256(abi.encode(index)), job.prices[index]
        );
        uint256 key = job.fault == Fault.Unsigned && index == 0 ? nodeKeys[0] : parts.signerKey;
        signature = signDigest(key, parts.escrow.receiptDigest(receipt));
    }

    function leafOf(Job storage job, uint256 index) internal view returns (DisputeTypes.Leaf memory leaf) {
        (leaf.receipt, leaf.signature) = receiptOf(job, index);
        (SignedMessages.Receipt memory other, bytes memory signature) = receiptOf(job, 1 - index);
        leaf.path = new ReceiptTree.Sibling[](1);
        leaf.path[0] = ReceiptTree.Sibling(parts.escrow.receiptLeaf(other, signature), other.price);
    }

    function stateOf(Job storage job) internal view returns (EscrowTypes.State) {
        return parts.escrow.escrowOf(job.id).state;
    }
}
