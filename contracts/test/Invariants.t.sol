// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CoordinatorBond} from "../src/CoordinatorBond.sol";
import {DisputeTypes} from "../src/DisputeTypes.sol";
import {Disputes} from "../src/Disputes.sol";
import {EscrowTypes} from "../src/EscrowTypes.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {SignedMessages} from "../src/SignedMessages.sol";
import {Base} from "./Base.sol";
import {Bonds} from "./players/Bonds.sol";
import {Jobs} from "./players/Jobs.sol";
import {Rewards} from "./players/Rewards.sol";
import {Stakes} from "./players/Stakes.sol";
import {World} from "./players/World.sol";

/// @dev Plays everybody at random.
contract Player is Bonds, Stakes, Rewards {
    constructor(World.Parts memory given) {
        setUpWorld(given);
    }

    /// @dev The last honest receipt that stands on chain, if any.
    function anyReceipt() external view returns (bool found, DisputeTypes.Leaf memory leaf) {
        for (uint256 i = jobs.length; i > 0; --i) {
            Job storage job = jobs[i - 1];
            EscrowTypes.State state = stateOf(job);
            bool stands = state == EscrowTypes.State.Proposed || state == EscrowTypes.State.Finalized;
            if (job.fault == Fault.None && stands) return (true, leafOf(job, 0));
        }
    }

    function finalize(uint256 pick) public override(Jobs, Rewards) {
        Jobs.finalize(pick);
    }

    function stake(uint256 who, uint256 where, uint96 amount) public override(Jobs, Stakes) {
        Stakes.stake(who, where, amount);
    }

    function expectedSlash(address operator, uint256 bps) internal view override(Jobs, Stakes) returns (uint256) {
        return Stakes.expectedSlash(operator, bps);
    }
}

/// @dev What holds whatever anybody does; `contracts.invariants` counts how often each player succeeded.
contract InvariantsTest is Base {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Player private player;
    JobEscrow private twin;
    CoordinatorBond private bond;
    uint256 private genesis;
    uint256 private clientsMoney;

    function setUp() public override {
        super.setUp();
        bond = new CoordinatorBond(escrow, 0);
        player = new Player(
            World.Parts(
                token, escrow, registry, disputes, rewards, bond, client, coordinator, guardian, SIGNER_KEY, auditorKeys
            )
        );
        token.mint(address(player), 100_000_000 ether);
        token.mint(client, 100_000_000 ether);
        twin = new JobEscrow(token, treasury, address(this), 500, WINDOW, GRACE, registry, address(disputes));
        twin.grantRole(twin.RECEIPT_SIGNER_ROLE(), signer);
        genesis = token.totalSupply();
        clientsMoney = token.balanceOf(client);
    }

    /// @dev forge asks for this by name.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(player);
    }

    /// @dev What only ends a run.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0] = FuzzSelector(address(player), new bytes4[](3));
        excluded[0].selectors[0] = Jobs.endEverything.selector;
        excluded[0].selectors[1] = Stakes.leaveAll.selector;
        excluded[0].selectors[2] = Bonds.takeBond.selector;
    }

    /// @dev No player met anything that must not be: a job that ended twice, an honest proposal voided, a disputed one
    ///      finalized, stake that left early or escaped a slash, rewards above the limit.
    function nothingForbiddenHappened() public view {
        vm.assertEq(player.violations(), 0, player.lastViolation());
    }

    function escrowHoldsTheCapsOfOpenJobs() public view {
        vm.assertEq(token.balanceOf(address(escrow)), player.lockedCaps(), "escrow and caps");
    }

    /// @dev Active, unbonding and co-staked, to the unit.
    function registryHoldsTheStake() public view {
        (, uint256 first) = player.owed(0);
        (, uint256 second) = player.owed(1);
        vm.assertEq(token.balanceOf(address(registry)), first + second, "registry and stake");
    }

    function supplyPlusBurnedIsInitialPlusMinted() public view {
        uint256 burned = escrow.totalBurned() + player.slashesBurned() + player.bondsBurned() + player.bondClaimed();
        vm.assertEq(token.totalSupply() + burned, genesis + rewards.totalClaimed(), "supply and burned");
    }

    function burnedPlusFeeIsThePriceOfFinalizedJobs() public view {
        vm.assertEq(escrow.totalBurned() + token.balanceOf(treasury), player.pricesPaid(), "burned, fees and prices");
    }

    /// @dev burn + fee + refund = escrow, once: what the client has not is locked, or was the price of a job.
    function everyEscrowIsPaidOutOnce() public view {
        vm.assertEq(
            token.balanceOf(client) + player.lockedCaps() + player.pricesPaid(), clientsMoney, "the client's money"
        );
    }

    function claimsAreAtMostTheRootAndThatAtMost95PercentOfBurned() public view {
        uint256 total = rewards.activeEpoch().total;
        vm.assertLe(rewards.totalClaimed(), total);
        vm.assertLe(total, (escrow.totalBurned() * 95) / 100);
        vm.assertLe(total, player.earned(0) + player.earned(1));
    }

    function claimsNeverFall() public view {
        vm.assertTrue(player.claimsHold(), "claims fell");
    }

    /// @dev Only receipts of finalized, undisputed proposals are paid, each 0.95 of what it burned.
    function noRewardWithoutAReceipt() public view {
        address[6] memory all = player.everybody();
        vm.assertLe(rewards.claimed(all[0]), player.earned(0));
        vm.assertLe(rewards.claimed(all[1]), player.earned(1));
    }

    function finalStatesAreFinal() public view {
        vm.assertTrue(player.finalStatesHold(), "a final state changed");
    }

    /// @dev All shares together are never worth more than what is there, nor much less.
    function roundingNeverRaisesAnOutflow() public view {
        for (uint256 i = 0; i < 2; ++i) {
            (uint256 sum, uint256 held) = player.owed(i);
            vm.assertLe(sum, held);
        }
    }

    function disputesHoldTheBondsOfOpenChallenges() public view {
        vm.assertEq(token.balanceOf(address(disputes)), player.openBonds(), "bonds");
    }

    /// @dev Deposits - claims, and as much burned - withdrawals, to the unit, and the signer's book says the same.
    function theBondHoldsWhatWasNotClaimedNorWithdrawn() public view {
        uint256 expected = player.bondDeposited() - 2 * player.bondClaimed() - player.bondWithdrawn();
        vm.assertEq(token.balanceOf(address(bond)), expected, "bond");
        vm.assertEq(bond.bondOf(signer).amount, expected, "bond, as it is kept");
    }

    function claimsOfABondAndFinalisationExcludeEachOther() public view {
        vm.assertTrue(player.claimsAndFinalisationExclude(), "claimed and finalized");
    }

    function locksAreThoseOfAwardedJobs() public view {
        vm.assertEq(registry.operatorOf(player.everybody()[0]).locked, player.openLocks(), "locks");
    }

    function receiptsHoldHereAndNowhereElse() public {
        (bool found, DisputeTypes.Leaf memory leaf) = player.anyReceipt();
        if (!found) return;
        SignedMessages.Receipt memory stated = leaf.receipt;
        vm.assertTrue(escrow.verifyReceipt(stated, leaf.signature, leaf.path));
        vm.assertTrue(escrow.isReceiptSigned(stated, leaf.signature));
        vm.assertFalse(twin.isReceiptSigned(stated, leaf.signature));
        stated.attempt += 1;
        vm.assertFalse(escrow.verifyReceipt(stated, leaf.signature, leaf.path));
        stated.attempt -= 1;
        uint256 here = block.chainid;
        vm.chainId(here + 1);
        bool elsewhere = escrow.verifyReceipt(stated, leaf.signature, leaf.path);
        vm.chainId(here);
        vm.assertFalse(elsewhere);
    }

    /// @dev One campaign checks all of them after every call: forge would play anew for each of several functions.
    function invariant_EverythingHolds() external {
        nothingForbiddenHappened();
        escrowHoldsTheCapsOfOpenJobs();
        registryHoldsTheStake();
        supplyPlusBurnedIsInitialPlusMinted();
        burnedPlusFeeIsThePriceOfFinalizedJobs();
        everyEscrowIsPaidOutOnce();
        claimsAreAtMostTheRootAndThatAtMost95PercentOfBurned();
        claimsNeverFall();
        noRewardWithoutAReceipt();
        finalStatesAreFinal();
        roundingNeverRaisesAnOutflow();
        disputesHoldTheBondsOfOpenChallenges();
        theBondHoldsWhatWasNotClaimedNorWithdrawn();
        claimsOfABondAndFinalisationExcludeEachOther();
        locksAreThoseOfAwardedJobs();
        receiptsHoldHereAndNowhereElse();
    }

    /// @dev From wherever a run ended, everybody gets out: every job is finalized or refunded and all stake is
    ///      withdrawn, without coordinator, auditors or pauser.
    function afterInvariant() external {
        vm.prank(guardian);
        escrow.pause();
        player.endEverything();
        vm.assertEq(token.balanceOf(address(escrow)), 0);
        vm.assertEq(token.balanceOf(address(disputes)), 0);
        player.takeBond();
        vm.assertEq(token.balanceOf(address(bond)), 0);
        player.leaveAll();
        for (uint256 i = 0; i < 2; ++i) {
            (uint256 left,) = player.owed(i);
            vm.assertLe(left, 4); // shares that were worth nothing, until the roundings of others' leaving
        }
    }
}
