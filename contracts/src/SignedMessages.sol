// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title What is signed for a deployment, in one EIP-712 domain
/// @notice Domain: name "kilnet", version "1", the chain, and the contract that inherits this (JobEscrow). Nothing that
///         was signed for one deployment is good for another.
abstract contract SignedMessages is EIP712("kilnet", "1") {
    /// @notice What a client signs so that the coordinator can open the escrow for it.
    struct JobOrder {
        bytes32 job;
        address client;
        uint256 cap;
        uint64 deadline;
    }

    /// @notice The statement that a tile passed, signed by a receipt signer.
    struct Receipt {
        bytes32 job;
        uint64 tile;
        uint64 attempt;
        address node;
        bytes32 commitment;
        uint256 price;
    }

    /// @notice What a node signs before it can know which cells are audited. One per lease and fencing token.
    struct Commitment {
        bytes32 lease;
        uint64 token;
        bytes32 root;
        uint64 cells;
    }

    /// @notice EIP-712 type hash of JobOrder.
    bytes32 public constant JOB_ORDER_TYPEHASH =
        keccak256("JobOrder(bytes32 job,address client,uint256 cap,uint64 deadline)");
    /// @notice EIP-712 type hash of Receipt.
    bytes32 public constant RECEIPT_TYPEHASH =
        keccak256("Receipt(bytes32 job,uint64 tile,uint64 attempt,address node,bytes32 commitment,uint256 price)");
    /// @notice EIP-712 type hash of Commitment.
    bytes32 public constant COMMITMENT_TYPEHASH =
        keccak256("Commitment(bytes32 lease,uint64 token,bytes32 root,uint64 cells)");

    /// @notice The digest that a client signs for an order.
    function orderDigest(JobOrder calldata order) public view returns (bytes32) {
        return
            _hashTypedDataV4(
                keccak256(abi.encode(JOB_ORDER_TYPEHASH, order.job, order.client, order.cap, order.deadline))
            );
    }

    /// @notice The digest that a node signs for a commitment.
    function commitmentDigest(Commitment calldata commitment) public view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(COMMITMENT_TYPEHASH, commitment.lease, commitment.token, commitment.root, commitment.cells)
            )
        );
    }

    /// @notice The EIP-712 struct hash of a receipt.
    function receiptStructHash(Receipt calldata receipt) public pure returns (bytes32) {
        return keccak256(
            abi.encode(
                RECEIPT_TYPEHASH,
                receipt.job,
                receipt.tile,
                receipt.attempt,
                receipt.node,
                receipt.commitment,
                receipt.price
            )
        );
    }

    /// @notice The digest that a receipt signer signs.
    function receiptDigest(Receipt calldata receipt) public view returns (bytes32) {
        return _hashTypedDataV4(receiptStructHash(receipt));
    }

    /// @notice A receipt's leaf in its job's tree. It holds the signature as well, so that a receipt under a root that
    ///         no receipt signer signed can be proven; and it is hashed twice, so that no inner node passes for a leaf.
    function receiptLeaf(Receipt calldata receipt, bytes calldata signature) public pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(receiptStructHash(receipt), keccak256(signature)))));
    }
}
