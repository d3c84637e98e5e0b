// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DisputeTypes} from "../src/DisputeTypes.sol";
import {Disputes} from "../src/Disputes.sol";
import {EscrowTypes} from "../src/EscrowTypes.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {KilnToken} from "../src/KilnToken.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {ReceiptTree} from "../src/ReceiptTree.sol";
import {RewardDistributor} from "../src/RewardDistributor.sol";
import {SignedMessages} from "../src/SignedMessages.sol";

/// @dev The cheat codes that these tests use. forge answers them at a fixed address.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function assertEq(uint256 a, uint256 b) external pure;
    function assertEq(uint256 a, uint256 b, string calldata why) external pure;
    function assertEq(address a, address b) external pure;
    function assertEq(bytes32 a, bytes32 b) external pure;
    function assertTrue(bool condition) external pure;
    function assertTrue(bool condition, string calldata why) external pure;
    function assertFalse(bool condition) external pure;
    function assertLe(uint256 a, uint256 b) external pure;
    function assertGt(uint256 a, uint256 b, string calldata why) external pure;
    function assume(bool condition) external pure;
    function chainId(uint256 id) external;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function deal(address account, uint256 balance) external;
    function expectEmit() external;
    function expectRevert(bytes4 reason) external;
    function expectRevert(bytes calldata reason) external;
    function expectRevert() external;
    function getNonce(address account) external view returns (uint64);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function revertToState(uint256 snapshot) external returns (bool);
    function snapshotState() external returns (uint256 snapshot);
    function serializeAddress(string calldata object, string calldata key, address value)
        external
        returns (string memory);
    function serializeBytes(string calldata object, string calldata key, bytes calldata value)
        external
        returns (string memory);
    function serializeBytes32(string calldata object, string calldata key, bytes32 value)
        external
        returns (string memory);
    function serializeBytes32(string calldata object, string calldata key, bytes32[] calldata value)
        external
        returns (string memory);
    function serializeString(string calldata object, string calldata key, string calldata value)
        external
        returns (string memory);
    function serializeUint(string calldata object, string calldata key, uint256 value) external returns (string memory);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function toString(uint256 value) external pure returns (string memory);
    function warp(uint256 time) external;
    function writeJson(string calldata json, string calldata path) external;
}

/// @dev All contracts deployed and wired as deploy.py does it, a client with money, and helpers to sign.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    // forge finds tests of a contract by this flag.
    bool public constant IS_TEST = true;

    uint256 internal constant CLIENT_KEY = 0xC11E47;
    uint256 internal constant SIGNER_KEY = 0x516E4;
    uint256 internal constant START = 1_800_000_000;
    uint256 internal constant CAP = 100 ether;
    uint64 internal constant DEADLINE = uint64(START + 1 days);
    uint40 internal constant WINDOW = 1 hours;
    uint40 internal constant GRACE = 2 hours;
    uint40 internal constant VETO = 30 minutes;
    uint40 internal constant UNBONDING = 7 days;
    uint40 internal constant RULING = 3 days;
    uint16 internal constant FINDER_BPS = 2_000;
    uint96 internal constant BOND = 10 ether;
    uint256 internal constant NODE_KEY = 0x40DE;
    bytes32 internal constant JOB = keccak256("job");
    bytes32 internal constant ROOT = keccak256("root");

    address internal client = vm.addr(CLIENT_KEY);
    address internal signer = vm.addr(SIGNER_KEY);
    address internal coordinator = address(0xC0);
    address internal treasury = address(0x77EA);
    address internal guardian = address(0x6A);
    address internal stranger = address(0x57A);
    address internal node = vm.addr(NODE_KEY);
    address internal operator = address(0x09E7);
    address internal staker = address(0x57A6);
    uint256[3] internal auditorKeys;

    KilnToken internal token;
    NodeRegistry internal registry;
    JobEscrow internal escrow;
    Disputes internal disputes;
    RewardDistributor internal rewards;

    function setUp() public virtual {
        vm.warp(START);
        auditorKeys = sortedKeys();
        token = new KilnToken(1_000_000_000 ether, address(this));
        // Each of the four knows the others for ever, so their addresses are computed before they are there.
        registry = new NodeRegistry(
            token, UNBONDING, FINDER_BPS, JobEscrow(nextAddress(1)), nextAddress(2), RewardDistributor(nextAddress(3))
        );
        escrow = new JobEscrow(token, treasury, address(this), 500, WINDOW, GRACE, registry, nextAddress(1));
        disputes = new Disputes(escrow, registry, address(this), auditors(), 2, disputeTerms());
        rewards = new RewardDistributor(token, escrow, registry, address(this), VETO);
        escrow.grantRole(escrow.COORDINATOR_ROLE(), coordinator);
        escrow.grantRole(escrow.RECEIPT_SIGNER_ROLE(), signer);
        escrow.grantRole(escrow.PAUSER_ROLE(), guardian);
        rewards.grantRole(rewards.COORDINATOR_ROLE(), coordinator);
        rewards.grantRole(rewards.GUARDIAN_ROLE(), guardian);
        token.grantRole(token.MINTER_ROLE(), address(this));
        token.grantRole(token.MINTER_ROLE(), address(rewards));
        token.mint(client, 1_000_000 ether);
        vm.prank(client);
        token.approve(address(escrow), type(uint256).max);
    }

    function openJob() internal {
        vm.prank(client);
        escrow.open(JOB, CAP, DEADLINE);
    }

    function proposeJob(uint256 price) internal {
        vm.prank(coordinator);
        escrow.propose(JOB, price, ROOT, 3);
    }

    /// @dev A job that went all the way; `price` of it is paid.
    function settleJob(bytes32 job, uint256 price) internal {
        vm.prank(client);
        escrow.open(job, CAP, uint64(block.timestamp + 1 days));
        vm.prank(coordinator);
        escrow.propose(job, price, ROOT, 1);
        vm.warp(block.timestamp + WINDOW);
        escrow.finalize(job);
    }

    function order() internal view returns (SignedMessages.JobOrder memory) {
        return SignedMessages.JobOrder(JOB, client, CAP, DEADLINE);
    }

    function noPermit() internal pure returns (EscrowTypes.Permit memory empty) {}

    function signDigest(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function signPermit(uint256 value, uint256 deadline) internal view returns (EscrowTypes.Permit memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CLIENT_KEY, permitDigest(value, deadline));
        return EscrowTypes.Permit(value, deadline, v, r, s);
    }

    function permitDigest(uint256 value, uint256 deadline) internal view returns (bytes32) {
        return permitDigest(value, deadline, address(escrow));
    }

    function permitDigest(uint256 value, uint256 deadline, address spender) internal view returns (bytes32) {
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                client,
                spender,
                value,
                token.nonces(client),
                deadline
            )
        );
        return keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
    }

    function receipt(uint64 tile) internal view returns (SignedMessages.Receipt memory) {
        return SignedMessages.Receipt(JOB, tile, 1, node, keccak256(abi.encode("commitment", tile)), 7 ether);
    }

    function signReceipt(SignedMessages.Receipt memory of_) internal view returns (bytes memory) {
        return signDigest(SIGNER_KEY, escrow.receiptDigest(of_));
    }

    /// @dev The leaf of a receipt that a receipt signer signed.
    function leafOf(SignedMessages.Receipt memory of_) internal view returns (bytes32) {
        return escrow.receiptLeaf(of_, signReceipt(of_));
    }

    function beside(bytes32 hash, uint256 sum) internal pure returns (ReceiptTree.Sibling[] memory path) {
        path = new ReceiptTree.Sibling[](1);
        path[0] = ReceiptTree.Sibling(hash, sum);
    }

    function disputeTerms() internal pure returns (DisputeTypes.Terms memory) {
        return DisputeTypes.Terms(BOND, RULING, 5_000, 10_000);
    }

    function auditors() internal view returns (address[] memory all) {
        all = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            all[i] = vm.addr(auditorKeys[i]);
        }
    }

    /// @dev Signatures of the first `count` auditors, in the order of their addresses.
    function ruling(uint256 id, bool upheld, uint16 slashBps, uint256 count)
        internal
        view
        returns (bytes[] memory signatures)
    {
        signatures = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            signatures[i] = signDigest(auditorKeys[i], disputes.rulingDigest(id, upheld, slashBps));
        }
    }

    /// @dev Gives somebody KILN and lets the registry and Disputes take it.
    function fund(address account, uint256 amount) internal {
        token.mint(account, amount);
        vm.startPrank(account);
        token.approve(address(registry), type(uint256).max);
        token.approve(address(disputes), type(uint256).max);
        vm.stopPrank();
    }

    /// @dev The operator, its node, and its own stake.
    function registerOperator(uint256 own, uint16 commissionBps, bool open) internal {
        fund(operator, own);
        bytes memory signature = signDigest(NODE_KEY, registry.nodeKeyDigest(node, operator));
        vm.startPrank(operator);
        registry.register(commissionBps);
        registry.addNode(node, signature);
        if (own != 0) registry.stake(operator, own);
        if (open) registry.setTerms(true, commissionBps);
        vm.stopPrank();
    }

    function activeOf(address who) internal view returns (uint256 active) {
        (active,,) = registry.stakeOf(operator, who);
    }

    function unbondingOf(address who) internal view returns (uint256 unbonding) {
        (, unbonding,) = registry.stakeOf(operator, who);
    }

    function only(address account) internal pure returns (address[] memory all) {
        all = new address[](1);
        all[0] = account;
    }

    function nextAddress(uint256 ahead) internal view returns (address) {
        return vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + ahead);
    }

    function sortedKeys() private pure returns (uint256[3] memory keys) {
        keys = [uint256(0xA1), 0xA2, 0xA3];
        for (uint256 i = 0; i < 2; ++i) {
            for (uint256 j = 0; j < 2 - i; ++j) {
                if (vm.addr(keys[j]) > vm.addr(keys[j + 1])) (keys[j], keys[j + 1]) = (keys[j + 1], keys[j]);
            }
        }
    }

    function hashPair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encodePacked(a, b)) : keccak256(abi.encodePacked(b, a));
    }

    function one(bytes32 sibling) internal pure returns (bytes32[] memory proof) {
        proof = new bytes32[](1);
        proof[0] = sibling;
    }

    function stateOf(bytes32 job) internal view returns (EscrowTypes.State) {
        return escrow.escrowOf(job).state;
    }

    function wrongState(EscrowTypes.State actual, EscrowTypes.State expected) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(EscrowTypes.WrongState.selector, JOB, actual, expected);
    }
}
