// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobEscrow} from "../src/JobEscrow.sol";
import {KilnToken} from "../src/KilnToken.sol";
import {RewardDistributor} from "../src/RewardDistributor.sol";
import {Base, Vm} from "./Base.sol";

/// @dev Plays coordinator, client and node at random over a few jobs, and counts what succeeded: an invariant that
///      holds because every call reverted proves nothing.
contract Player {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    JobEscrow private immutable _escrow;
    KilnToken private immutable _token;
    RewardDistributor private immutable _rewards;
    address private immutable _client;
    address private immutable _coordinator;
    address private immutable _node;

    bytes32[] public jobs;
    uint256 public locked;
    uint256 public paid;
    uint256 public lastTotal;
    uint256 public doubleEnds;
    mapping(bytes32 job => bool) private _ended;
    mapping(bytes4 call => uint256) public successes;

    constructor(
        JobEscrow escrow,
        KilnToken token,
        RewardDistributor rewards,
        address client,
        address coordinator,
        address node
    ) {
        (_escrow, _token, _rewards) = (escrow, token, rewards);
        (_client, _coordinator, _node) = (client, coordinator, node);
    }

    function open(uint96 cap, uint32 duration) external {
        cap = uint96(1 + cap % 10_000 ether);
        bytes32 job = keccak256(abi.encode(jobs.length));
        vm.prank(_client);
        _escrow.open(job, cap, uint64(block.timestamp + 1 + duration % 2 days));
        jobs.push(job);
        locked += cap;
        ++successes[msg.sig];
    }

    function propose(uint256 pick, uint96 price) external {
        (bytes32 job, JobEscrow.Escrow memory escrow) = find(pick, JobEscrow.State.Open);
        vm.prank(_coordinator);
        _escrow.propose(job, price % (uint256(escrow.cap) + 1), keccak256("root"), 1);
        ++successes[msg.sig];
    }

    function finalize(uint256 pick) external {
        (bytes32 job, JobEscrow.Escrow memory escrow) = find(pick, JobEscrow.State.Proposed);
        uint256 ready = uint256(escrow.proposedAt) + _escrow.challengeWindow();
        if (block.timestamp < ready) vm.warp(ready);
        _escrow.finalize(job);
        end(job, escrow.cap);
        ++successes[msg.sig];
    }

    function cancel(uint256 pick) external {
        (bytes32 job, JobEscrow.Escrow memory escrow) = find(pick, JobEscrow.State.Open);
        vm.prank(_coordinator);
        _escrow.cancel(job);
        end(job, escrow.cap);
        ++successes[msg.sig];
    }

    function refund(uint256 pick) external {
        (bytes32 job, JobEscrow.Escrow memory escrow) = find(pick, JobEscrow.State.Open);
        uint256 last = uint256(escrow.deadline) + _escrow.grace();
        if (block.timestamp <= last) vm.warp(last + 1);
        _escrow.refund(job);
        end(job, escrow.cap);
        ++successes[msg.sig];
    }

    /// @dev Any total: the contract has to refuse those that are too large.
    function postAndClaim(uint256 total, bool greedy) external {
        uint256 limit = (_escrow.totalBurned() * 95) / 100;
        if (!greedy) total = lastTotal + (total % (limit + 1 - lastTotal));
        uint64 epoch = _rewards.lastEpoch() + 1;
        bytes32 root = _rewards.rewardLeaf(_node, total);
        vm.prank(_coordinator);
        _rewards.postRoot(epoch, root, total);
        lastTotal = total;
        vm.warp(block.timestamp + _rewards.vetoWindow());
        paid += _rewards.claim(_node, total, new bytes32[](0));
        ++successes[msg.sig];
    }

    /// @dev Its own book: what a job had locked is free again once, whatever the contract says.
    function end(bytes32 job, uint256 cap) private {
        if (_ended[job]) ++doubleEnds;
        else locked -= cap;
        _ended[job] = true;
    }

    function find(uint256 pick, JobEscrow.State wanted) private view returns (bytes32, JobEscrow.Escrow memory) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            // Unchecked, for a pick may be any number.
            unchecked {
                bytes32 job = jobs[(pick + i) % jobs.length];
                JobEscrow.Escrow memory escrow = _escrow.escrowOf(job);
                if (escrow.state == wanted) return (job, escrow);
            }
        }
        revert("none");
    }
}

contract InvariantsTest is Base {
    Player private player;
    uint256 private genesis;

    function setUp() public override {
        super.setUp();
        player = new Player(escrow, token, rewards, client, coordinator, node);
        genesis = token.totalSupply();
    }

    /// @dev forge asks for this by name.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(player);
    }

    /// @dev The escrow holds exactly the caps of the jobs that have no outcome yet.
    function invariant_EscrowHoldsWhatIsLocked() external view {
        vm.assertEq(token.balanceOf(address(escrow)), player.locked());
    }

    function invariant_AJobEndsOnce() external view {
        vm.assertEq(player.doubleEnds(), 0);
    }

    /// @dev The node owns nothing but what it claimed.
    function invariant_ClaimsAreRemembered() external view {
        vm.assertEq(rewards.claimed(node), token.balanceOf(node));
        vm.assertEq(rewards.totalClaimed(), token.balanceOf(node));
    }

    /// @dev Tokens appear only as rewards and disappear only by jobs.
    function invariant_SupplyIsGenesisPlusRewardsMinusBurned() external view {
        vm.assertEq(token.totalSupply(), genesis + player.paid() - escrow.totalBurned());
        vm.assertEq(rewards.totalClaimed(), player.paid());
    }

    function invariant_RewardsAreAtMost95PercentOfBurned() external view {
        vm.assertLe(rewards.totalClaimed(), (escrow.totalBurned() * 95) / 100);
    }

    /// @dev Every handler succeeded in every run, or the above says little.
    function afterInvariant() external view {
        bytes4[6] memory calls = [
            Player.open.selector,
            Player.propose.selector,
            Player.finalize.selector,
            Player.cancel.selector,
            Player.refund.selector,
            Player.postAndClaim.selector
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.assertGt(player.successes(calls[i]), 0, "a handler never succeeded");
        }
    }
}
