// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BondTypes} from "../../src/BondTypes.sol";
import {EscrowTypes} from "../../src/EscrowTypes.sol";
import {Jobs} from "./Jobs.sol";

/// @dev Plays the coordinator that deposits, gives notice and withdraws, and nodes that claim what was acknowledged.
abstract contract Bonds is Jobs {
    /// @dev Books, in the smallest unit.
    uint256 public bondDeposited;
    /// @dev As much was burned.
    uint256 public bondClaimed;
    uint256 public bondWithdrawn;
    mapping(bytes32 job => uint256) private claimedOf;

    function depositBond(uint96 amount) public {
        amount = 1 + amount % MOST;
        parts.token.approve(address(parts.bond), amount);
        parts.bond.deposit(vm.addr(parts.signerKey), amount);
        bondDeposited += amount;
    }

    function claimBond(uint256 pick, uint96 amount) external {
        Job storage job = refundedJob(pick);
        if (parts.bond.bondOf(vm.addr(parts.signerKey)).amount < 2) depositBond(amount | 1);
        (BondTypes.Acknowledgement memory told, bytes memory signature) = word(job, 1 + amount % MOST);
        uint256 before = parts.token.balanceOf(operators[0]);
        uint256 paid = parts.bond.claim(told, signature);
        if (parts.token.balanceOf(operators[0]) - before != paid) blame("a claim paid another amount");
        bondClaimed += paid;
        claimedOf[job.id] += paid;
        if (claimedOf[job.id] > told.amount) blame("a lease was paid more than was acknowledged");
    }

    /// @dev Whatever is not refunded has no claim.
    function claimUnrefunded(uint256 pick) external {
        if (jobs.length == 0 || jobs[pick % jobs.length].ended == EscrowTypes.State.Refunded) {
            open(uint96(pick), uint32(pick >> 96));
            pick = jobs.length - 1;
        }
        Job storage job = jobs[pick % jobs.length];
        (BondTypes.Acknowledgement memory told, bytes memory signature) = word(job, 1);
        try parts.bond.claim(told, signature) {
            blame("a job that was not refunded was claimed");
        } catch {}
    }

    /// @dev Notice, and then the withdrawal, which never comes before its time.
    function withdrawBond(uint96 amount) external {
        address signer = vm.addr(parts.signerKey);
        BondTypes.Bond memory kept = parts.bond.bondOf(signer);
        if (kept.leaving == 0) {
            if (kept.amount == 0) depositBond(amount);
            kept = parts.bond.bondOf(signer);
            vm.prank(signer);
            parts.bond.giveNotice(1 + amount % kept.amount);
            return;
        }
        if (block.timestamp < kept.readyAt) {
            vm.prank(signer);
            try parts.bond.withdraw() {
                blame("a bond left before its notice was over");
            } catch {}
            vm.warp(kept.readyAt);
        }
        vm.prank(signer);
        bondWithdrawn += parts.bond.withdraw();
    }

    /// @dev No refunded job was finalized, and the other way round: a job was paid by one of both.
    function claimsAndFinalisationExclude() external view returns (bool) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            if (claimedOf[jobs[i].id] != 0 && stateOf(jobs[i]) != EscrowTypes.State.Refunded) return false;
        }
        return true;
    }

    /// @dev The signer takes all that is left, after its notice; nobody can stop it.
    function takeBond() external {
        address signer = vm.addr(parts.signerKey);
        uint96 left = parts.bond.bondOf(signer).amount;
        if (left == 0) return;
        vm.startPrank(signer);
        parts.bond.giveNotice(left);
        vm.warp(block.timestamp + parts.bond.notice());
        parts.bond.withdraw();
        vm.stopPrank();
    }

    function word(Job storage job, uint256 amount)
        private
        view
        returns (BondTypes.Acknowledgement memory told, bytes memory signature)
    {
        told = BondTypes.Acknowledgement(job.id, 0, job.id, vm.addr(nodeKeys[0]), job.id, amount);
        signature = signDigest(parts.signerKey, parts.bond.acknowledgementDigest(told));
    }

    /// @dev Some job that was refunded and of which nothing was claimed.
    function refundedJob(uint256 pick) private returns (Job storage) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            Job storage job = jobs[addmod(pick, i, jobs.length)];
            if (job.ended == EscrowTypes.State.Refunded && claimedOf[job.id] == 0) return job;
        }
        open(uint96(pick), uint32(pick >> 96));
        Job storage fresh = jobs[jobs.length - 1];
        vm.prank(parts.coordinator);
        parts.escrow.cancel(fresh.id);
        end(fresh, EscrowTypes.State.Refunded);
        return fresh;
    }
}
