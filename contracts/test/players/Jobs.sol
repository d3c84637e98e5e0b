// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DisputeTypes} from "../../src/DisputeTypes.sol";
import {Disputes} from "../../src/Disputes.sol";
import {EscrowTypes} from "../../src/EscrowTypes.sol";
import {JobEscrow} from "../../src/JobEscrow.sol";
import {ReceiptTree} from "../../src/ReceiptTree.sol";
import {World} from "./World.sol";

/// @dev Plays client, coordinator, challengers and auditors.
abstract contract Jobs is World {
    function open(uint96 cap, uint32 duration) public {
        cap = 2 + cap % MOST;
        bytes32 id = keccak256(abi.encode("job", jobs.length));
        vm.prank(parts.client);
        parts.escrow.open(id, cap, uint64(block.timestamp + 1 + duration % 10 days));
        Job storage job = jobs.push();
        (job.id, job.cap) = (id, cap);
        lockedCaps += cap;
    }

    function award(uint256 pick, uint96 amount) public {
        Job storage job = openJob(pick);
        if (job.stake != 0) revert("awarded");
        if (freeStake() == 0) stake(0, 1, amount);
        amount = uint96(1 + amount % freeStake());
        address[] memory chosen = new address[](1);
        chosen[0] = operators[0];
        vm.prank(parts.coordinator);
        parts.escrow.award(job.id, chosen, amount);
        job.stake = amount;
    }

    function propose(uint256 pick, uint96 price, uint96 cut) public {
        proposeWith(openJob(pick), price, cut, Fault.None);
    }

    function proposeFaulty(uint256 pick, uint96 price, uint96 cut, uint8 kind) external {
        proposeWith(openJob(pick), price, cut, Fault(1 + kind % 3));
    }

    function finalize(uint256 pick) public virtual {
        Job storage job = proposedJob(pick, false);
        EscrowTypes.Escrow memory kept = parts.escrow.escrowOf(job.id);
        uint256 ready = uint256(kept.proposedAt) + parts.escrow.challengeWindow();
        if (block.timestamp < ready) {
            try parts.escrow.finalize(job.id) {
                blame("finalized before the window was over");
            } catch {}
            vm.warp(ready);
        }
        parts.escrow.finalize(job.id);
        end(job, EscrowTypes.State.Finalized);
        pricesPaid += kept.price;
        for (uint256 i = 0; i < 2; ++i) {
            earned[i] += (job.prices[i] * 9_500 * 9_500) / 1e8;
        }
    }

    /// @dev Nobody looked in time: what a wrong proposal said is paid for, and no reward is due for it.
    function finalizeFaulty(uint256 pick) external {
        Job storage job = proposedJob(pick, true);
        EscrowTypes.Escrow memory kept = parts.escrow.escrowOf(job.id);
        vm.warp(uint256(kept.proposedAt) + parts.escrow.challengeWindow() + pick % 1 days);
        parts.escrow.finalize(job.id);
        end(job, EscrowTypes.State.Finalized);
        pricesPaid += kept.price;
    }

    function cancel(uint256 pick) public {
        Job storage job = openJob(pick);
        vm.prank(parts.coordinator);
        parts.escrow.cancel(job.id);
        end(job, EscrowTypes.State.Refunded);
    }

    /// @dev A refund is reachable for whatever is open, paused or not.
    function refund(uint256 pick, bool paused) external {
        Job storage job = openJob(pick);
        if (paused) {
            vm.prank(parts.guardian);
            parts.escrow.pause();
        }
        EscrowTypes.Escrow memory kept = parts.escrow.escrowOf(job.id);
        uint256 last = uint256(kept.voidedAt > kept.deadline ? kept.voidedAt : kept.deadline) + parts.escrow.grace();
        if (block.timestamp <= last) vm.warp(last + 1);
        parts.escrow.refund(job.id);
        end(job, EscrowTypes.State.Refunded);
        if (paused) {
            vm.prank(parts.guardian);
            parts.escrow.unpause();
        }
    }

    function release(uint256 pick) external {
        Job storage job = endedAward(pick);
        address[] memory all = new address[](2);
        (all[0], all[1]) = (operators[0], operators[1]);
        parts.registry.release(job.id, all);
        job.stake = 0;
    }

    function proveFault(uint256 pick) external {
        Job storage job = proposedJob(pick, true);
        prove(job);
        if (stateOf(job) != EscrowTypes.State.Open) blame("a proven fault did not void");
    }

    /// @dev Every proof is tried on an honest proposal; none may succeed.
    function proveAgainstHonest(uint256 pick) external {
        Job storage job = proposedJob(pick, false);
        (DisputeTypes.Leaf memory one, DisputeTypes.Leaf memory two) = (leafOf(job, 0), leafOf(job, 1));
        try parts.disputes.proveInvalidReceipt(job.id, one) {
            blame("an honest receipt was refused");
        } catch {}
        try parts.disputes.proveDuplicateTile(job.id, one, two) {
            blame("two tiles passed for one");
        } catch {}
        try parts.disputes.proveDuplicateTile(job.id, two, two) {
            blame("a tile passed for two");
        } catch {}
        try parts.disputes.proveWrongSum(job.id, one.receipt, one.signature, sums(one)) {
            blame("an honest sum was refused");
        } catch {}
    }

    function challenge(uint256 pick) public {
        propose(pick, uint96(pick), uint96(pick >> 96));
        Job storage job = proposedJob(pick, false);
        parts.token.transfer(finder, parts.disputes.bond());
        vm.prank(finder);
        parts.token.approve(address(parts.disputes), type(uint256).max);
        vm.prank(finder);
        challenges.push(parts.disputes.challenge(job.id, operators[0], "evidence"));
        if (stateOf(job) != EscrowTypes.State.Disputed) blame("a challenge did not hold the proposal up");
        try parts.escrow.finalize(job.id) {
            blame("a disputed proposal was finalized");
        } catch {}
    }

    function rule(uint256 pick, bool upheld) external {
        uint256 id = openChallenge(pick);
        DisputeTypes.Challenge memory kept = parts.disputes.challengeOf(id);
        if (block.timestamp > uint256(kept.openedAt) + parts.disputes.rulingPeriod()) revert("too late");
        // An upheld ruling slashes 10%: what that burns is reckoned here.
        uint16 bps = upheld ? 1_000 : 0;
        uint256 amount = expectedSlash(operators[0], bps);
        parts.disputes.rule(id, upheld, bps, rulingOf(id, upheld, bps));
        slashesBurned += amount - (amount * parts.registry.finderBps()) / 10_000;
        if (!upheld) bondsBurned += kept.bond;
    }

    function lapse(uint256 pick) external {
        uint256 id = openChallenge(pick);
        uint256 late = uint256(parts.disputes.challengeOf(id).openedAt) + parts.disputes.rulingPeriod() + 1;
        if (block.timestamp < late) vm.warp(late);
        parts.disputes.lapse(id);
    }

    /// @dev Bonds that Disputes should hold.
    function openBonds() external view returns (uint256 bonds) {
        for (uint256 i = 0; i < challenges.length; ++i) {
            DisputeTypes.Challenge memory kept = parts.disputes.challengeOf(challenges[i]);
            if (kept.outcome == DisputeTypes.Outcome.Open) bonds += kept.bond;
        }
    }

    /// @dev What the first operator should have locked.
    function openLocks() external view returns (uint256 sum) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            sum += jobs[i].stake;
        }
    }

    function finalStatesHold() external view returns (bool) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            bool final_ = parts.escrow.isFinal(jobs[i].id);
            if (final_ != (jobs[i].ended != EscrowTypes.State.None)) return false;
            if (final_ && stateOf(jobs[i]) != jobs[i].ended) return false;
        }
        return true;
    }

    /// @dev Takes every job to its end, whatever state it is in, without coordinator, auditors or pauser.
    function endEverything() external {
        vm.warp(block.timestamp + 1000 days);
        for (uint256 i = 0; i < challenges.length; ++i) {
            if (parts.disputes.challengeOf(challenges[i]).outcome == DisputeTypes.Outcome.Open) {
                parts.disputes.lapse(challenges[i]);
            }
        }
        address[] memory both = new address[](2);
        (both[0], both[1]) = (operators[0], operators[1]);
        for (uint256 i = 0; i < jobs.length; ++i) {
            if (stateOf(jobs[i]) == EscrowTypes.State.Open) parts.escrow.refund(jobs[i].id);
            else if (stateOf(jobs[i]) == EscrowTypes.State.Proposed) parts.escrow.finalize(jobs[i].id);
            parts.registry.release(jobs[i].id, both);
        }
    }

    function expectedSlash(address operator, uint256 bps) internal view virtual returns (uint256);

    function stake(uint256 who, uint256 where, uint96 amount) public virtual;

    /// @dev Some job that is open.
    function openJob(uint256 pick) private returns (Job storage) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            Job storage job = jobs[addmod(pick, i, jobs.length)];
            if (stateOf(job) == EscrowTypes.State.Open && canPropose(job)) return job;
        }
        open(uint96(pick), uint32(pick >> 96));
        return jobs[jobs.length - 1];
    }

    function canPropose(Job storage job) private view returns (bool) {
        EscrowTypes.Escrow memory kept = parts.escrow.escrowOf(job.id);
        return
            kept.voided < parts.escrow.MAX_VOIDED() && block.timestamp <= uint256(kept.deadline) + parts.escrow.grace();
    }

    /// @dev Some job with a proposal, a faulty one or an honest one; of honest ones the last, whose window is open.
    function proposedJob(uint256 pick, bool faulty) private returns (Job storage) {
        for (uint256 i = jobs.length; i > 0; --i) {
            Job storage job = jobs[i - 1];
            if (stateOf(job) == EscrowTypes.State.Proposed && (job.fault != Fault.None) == faulty) return job;
        }
        Job storage fresh = openJob(pick);
        proposeWith(fresh, uint96(pick), uint96(pick >> 96), faulty ? Fault(1 + pick % 3) : Fault.None);
        return fresh;
    }

    /// @dev Some job that is over and whose locks are not released.
    function endedAward(uint256 pick) private returns (Job storage) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            Job storage job = jobs[addmod(pick, i, jobs.length)];
            if (job.stake != 0 && job.ended != EscrowTypes.State.None) return job;
        }
        award(pick, uint96(pick));
        cancel(pick);
        for (uint256 i = 0; i < jobs.length; ++i) {
            if (jobs[i].stake != 0 && jobs[i].ended != EscrowTypes.State.None) return jobs[i];
        }
        revert("none");
    }

    function freeStake() private view returns (uint256 own) {
        (own,,) = parts.registry.stakeOf(operators[0], operators[0]);
        uint256 locked = parts.registry.operatorOf(operators[0]).locked;
        own = own > locked ? own - locked : 0;
    }

    function proposeWith(Job storage job, uint96 price, uint96 cut, Fault fault) private {
        uint256 total = 2 + price % (job.cap - 1);
        uint256 first = 1 + cut % (total - 1);
        job.prices = [first, total - first];
        job.fault = fault;
        DisputeTypes.Leaf memory leaf = leafOf(job, 0);
        bytes32 hash = parts.escrow.receiptLeaf(leaf.receipt, leaf.signature);
        bytes32 root = ReceiptTree.parent(hash, first, leaf.path[0].hash, leaf.path[0].sum);
        if (fault == Fault.Sum) --total;
        vm.prank(parts.coordinator);
        parts.escrow.propose(job.id, total, root, 2);
    }

    function prove(Job storage job) private {
        DisputeTypes.Leaf memory one = leafOf(job, 0);
        if (job.fault == Fault.Unsigned) parts.disputes.proveInvalidReceipt(job.id, one);
        else if (job.fault == Fault.Duplicate) parts.disputes.proveDuplicateTile(job.id, one, leafOf(job, 1));
        else parts.disputes.proveWrongSum(job.id, one.receipt, one.signature, sums(one));
    }

    function sums(DisputeTypes.Leaf memory leaf) private pure returns (ReceiptTree.Claim[] memory path) {
        path = new ReceiptTree.Claim[](1);
        path[0] = ReceiptTree.Claim(leaf.receipt.price, leaf.path[0]);
    }

    function openChallenge(uint256 pick) private returns (uint256) {
        for (uint256 i = 0; i < challenges.length; ++i) {
            uint256 id = challenges[addmod(pick, i, challenges.length)];
            if (parts.disputes.challengeOf(id).outcome == DisputeTypes.Outcome.Open) return id;
        }
        challenge(pick);
        return challenges[challenges.length - 1];
    }

    function rulingOf(uint256 id, bool upheld, uint16 bps) private view returns (bytes[] memory signatures) {
        signatures = new bytes[](2);
        bytes32 digest = parts.disputes.rulingDigest(id, upheld, bps);
        for (uint256 i = 0; i < 2; ++i) {
            signatures[i] = signDigest(parts.auditorKeys[i], digest);
        }
    }

    /// @dev Its own book: what a job had locked is free again once, whatever the contract says.
    function end(Job storage job, EscrowTypes.State state) internal {
        if (job.ended != EscrowTypes.State.None) blame("a job ended twice");
        else lockedCaps -= job.cap;
        job.ended = state;
    }
}
