// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The Merkle sum tree over a job's receipts
/// @notice Every node has a hash and the sum of the prices below it. An inner node hashes both of its children with
///         their sums, so that a root fixes what each receipt costs and one path shows a sum that does not add up.
/// @dev inner = keccak256(abi.encode(a.hash, a.sum, b.hash, b.sum)), the child with the smaller (hash, sum) first; an
///      odd node moves up as it is. A leaf's preimage has 32 bytes and an inner node's 128: none passes for the other.
library ReceiptTree {
    /// @notice The node beside a path.
    struct Sibling {
        bytes32 hash;
        uint256 sum;
    }

    /// @notice A step of a path that shows a wrong sum: what the parent was told that this node sums up to, and the
    ///         node beside it.
    struct Claim {
        uint256 sum;
        Sibling sibling;
    }

    /// @notice The hash over two nodes and their sums, in either order.
    function parent(bytes32 a, uint256 aSum, bytes32 b, uint256 bSum) internal pure returns (bytes32) {
        return a < b || (a == b && aSum <= bSum)
            ? keccak256(abi.encode(a, aSum, b, bSum))
            : keccak256(abi.encode(b, bSum, a, aSum));
    }

    /// @notice The root that a path leads to, and its sum. Sums that overflow wrap: they match no price of 96 bits
    ///         but by a sum above 96 bits on the path, for which `valid` is false.
    function climb(bytes32 leaf, uint256 price, Sibling[] calldata path)
        internal
        pure
        returns (bytes32 root, uint256 sum, bool valid)
    {
        (root, sum, valid) = (leaf, price, price <= type(uint96).max);
        for (uint256 i = 0; i < path.length; ++i) {
            root = parent(root, sum, path[i].hash, path[i].sum);
            valid = valid && path[i].sum <= type(uint96).max;
            unchecked {
                sum += path[i].sum;
            }
        }
    }

    /// @notice Whether a path meets a node that is its own sibling: the same leaves twice.
    function hasTwin(bytes32 leaf, uint256 price, Sibling[] calldata path) internal pure returns (bool) {
        (bytes32 node, uint256 sum) = (leaf, price);
        for (uint256 i = 0; i < path.length; ++i) {
            if (node == path[i].hash) return true;
            node = parent(node, sum, path[i].hash, path[i].sum);
            unchecked {
                sum += path[i].sum;
            }
        }
        return false;
    }

    /// @notice The root that a path of claimed sums leads to, and whether each claim is what lies below it.
    /// @param total The sum that is claimed for the root.
    function climbClaims(bytes32 leaf, uint256 price, Claim[] calldata path, uint256 total)
        internal
        pure
        returns (bytes32 root, bool honest)
    {
        (root, honest) = (leaf, price <= type(uint96).max);
        uint256 sum = price;
        for (uint256 i = 0; i < path.length; ++i) {
            Sibling calldata sibling = path[i].sibling;
            honest = honest && path[i].sum == sum && sibling.sum <= type(uint96).max;
            root = parent(root, path[i].sum, sibling.hash, sibling.sum);
            unchecked {
                sum = path[i].sum + sibling.sum;
            }
        }
        honest = honest && sum == total;
    }
}
