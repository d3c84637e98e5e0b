// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {EscrowTypes} from "../src/EscrowTypes.sol";
import {JobEscrow} from "../src/JobEscrow.sol";
import {KilnToken} from "../src/KilnToken.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {SignedMessages} from "../src/SignedMessages.sol";
import {Base} from "./Base.sol";

/// @dev A client that is a contract and signs whatever it was told to.
contract Wallet is IERC1271 {
    bytes32 private immutable _approved;

    constructor(KilnToken token, address escrow, bytes32 approved) {
        _approved = approved;
        token.approve(escrow, type(uint256).max);
    }

    function isValidSignature(bytes32 digest, bytes memory) external view returns (bytes4) {
        return digest == _approved ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}

/// @dev Deployment, opening and pausing.
contract EscrowIntakeTest is Base {
    function test_RevertWhen_DeployedWrong() public {
        vm.expectRevert(EscrowTypes.ZeroAddress.selector);
        new JobEscrow(KilnToken(address(0)), treasury, address(this), 500, 0, 0, registry, address(disputes));
        vm.expectRevert(EscrowTypes.ZeroAddress.selector);
        new JobEscrow(token, address(0), address(this), 500, 0, 0, registry, address(disputes));
        vm.expectRevert(EscrowTypes.ZeroAddress.selector);
        new JobEscrow(token, treasury, address(0), 500, 0, 0, registry, address(disputes));
        vm.expectRevert(EscrowTypes.ZeroAddress.selector);
        new JobEscrow(token, treasury, address(this), 500, 0, 0, NodeRegistry(address(0)), address(disputes));
        vm.expectRevert(EscrowTypes.ZeroAddress.selector);
        new JobEscrow(token, treasury, address(this), 500, 0, 0, registry, address(0));
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.FeeTooHigh.selector, 1_001));
        new JobEscrow(token, treasury, address(this), 1_001, 0, 0, registry, address(disputes));
    }

    function test_OpenLocksTheCap() public {
        vm.expectEmit();
        emit EscrowTypes.Opened(JOB, client, CAP, DEADLINE);
        openJob();
        EscrowTypes.Escrow memory kept = escrow.escrowOf(JOB);
        vm.assertEq(kept.client, client);
        vm.assertEq(kept.cap, CAP);
        vm.assertEq(kept.deadline, DEADLINE);
        vm.assertEq(uint256(kept.state), uint256(EscrowTypes.State.Open));
        vm.assertEq(token.balanceOf(address(escrow)), CAP);
    }

    function test_RevertWhen_OpenedTwice() public {
        openJob();
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.JobExists.selector, JOB));
        openJob();
    }

    function test_RevertWhen_OpenedAgainAfterItsEnd() public {
        openJob();
        vm.prank(coordinator);
        escrow.cancel(JOB);
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.JobExists.selector, JOB));
        openJob();
    }

    function testFuzz_RevertWhen_CapIsNone(uint256 cap) public {
        if (cap != 0) cap = uint256(type(uint96).max) + 1 + (cap % 2 ** 159);
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.InvalidCap.selector, cap));
        vm.prank(client);
        escrow.open(JOB, cap, DEADLINE);
    }

    function testFuzz_DeadlineLiesAheadAndNotTooFar(uint64 deadline) public {
        bool valid = deadline > START && deadline <= START + escrow.MAX_DURATION();
        if (!valid) {
            vm.expectRevert(abi.encodeWithSelector(EscrowTypes.InvalidDeadline.selector, deadline, START));
        }
        vm.prank(client);
        escrow.open(JOB, CAP, deadline);
    }

    function test_DeadlineLimits() public {
        testFuzz_DeadlineLiesAheadAndNotTooFar(uint64(START));
        testFuzz_DeadlineLiesAheadAndNotTooFar(uint64(START + escrow.MAX_DURATION() + 1));
        testFuzz_DeadlineLiesAheadAndNotTooFar(uint64(START + escrow.MAX_DURATION()));
    }

    function test_RevertWhen_AllowanceIsShort() public {
        vm.prank(client);
        token.approve(address(escrow), CAP - 1);
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.InsufficientAllowance.selector, client, CAP - 1, CAP));
        openJob();
    }

    function test_RevertWhen_ClientIsPoor() public {
        vm.prank(stranger);
        token.approve(address(escrow), CAP);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, stranger, 0, CAP));
        vm.prank(stranger);
        escrow.open(JOB, CAP, DEADLINE);
    }

    function test_OpenForBySignatureAndPermit() public {
        revokeAllowance();
        EscrowTypes.Permit memory permit = signPermit(CAP, DEADLINE);
        bytes memory signature = signDigest(CLIENT_KEY, escrow.orderDigest(order()));
        vm.prank(stranger);
        escrow.openFor(order(), signature, permit);
        vm.assertEq(escrow.escrowOf(JOB).client, client);
        vm.assertEq(token.balanceOf(address(escrow)), CAP);
        vm.assertEq(token.allowance(client, address(escrow)), 0);
    }

    function test_OpenForWithoutPermit() public {
        escrow.openFor(order(), signDigest(CLIENT_KEY, escrow.orderDigest(order())), noPermit());
        vm.assertEq(token.balanceOf(address(escrow)), CAP);
    }

    function test_OpenForSurvivesAPermitThatSomebodyUsedFirst() public {
        revokeAllowance();
        EscrowTypes.Permit memory permit = signPermit(CAP, DEADLINE);
        vm.prank(stranger);
        token.permit(client, address(escrow), permit.value, permit.deadline, permit.v, permit.r, permit.s);
        escrow.openFor(order(), signDigest(CLIENT_KEY, escrow.orderDigest(order())), permit);
        vm.assertEq(token.balanceOf(address(escrow)), CAP);
    }

    function test_RevertWhen_PermitExpired() public {
        revokeAllowance();
        EscrowTypes.Permit memory permit = signPermit(CAP, START - 1);
        bytes memory signature = signDigest(CLIENT_KEY, escrow.orderDigest(order()));
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.InsufficientAllowance.selector, client, 0, CAP));
        escrow.openFor(order(), signature, permit);
    }

    function test_RevertWhen_OrderIsReplayed() public {
        bytes memory signature = signDigest(CLIENT_KEY, escrow.orderDigest(order()));
        escrow.openFor(order(), signature, noPermit());
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.JobExists.selector, JOB));
        escrow.openFor(order(), signature, noPermit());
    }

    function test_RevertWhen_SignedForAnotherChain() public {
        vm.chainId(1);
        bytes memory signature = signDigest(CLIENT_KEY, escrow.orderDigest(order()));
        vm.chainId(31337);
        expectBadSignature();
        escrow.openFor(order(), signature, noPermit());
    }

    function test_RevertWhen_SignedForAnotherContract() public {
        JobEscrow other = new JobEscrow(token, treasury, address(this), 500, WINDOW, GRACE, registry, stranger);
        bytes memory signature = signDigest(CLIENT_KEY, other.orderDigest(order()));
        expectBadSignature();
        escrow.openFor(order(), signature, noPermit());
    }

    function testFuzz_RevertWhen_AnyFieldChanged(uint8 field, uint96 change) public {
        vm.assume(change != 0);
        SignedMessages.JobOrder memory changed = order();
        bytes memory signature = signDigest(CLIENT_KEY, escrow.orderDigest(changed));
        if (field % 4 == 0) changed.job ^= bytes32(uint256(change));
        else if (field % 4 == 1) changed.client = address(uint160(changed.client) ^ change);
        else if (field % 4 == 2) changed.cap ^= change;
        else changed.deadline ^= uint64(change) | 1;
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.InvalidOrderSignature.selector, changed.client));
        escrow.openFor(changed, signature, noPermit());
    }

    function testFuzz_RevertWhen_SignatureIsNoise(bytes calldata noise) public {
        expectBadSignature();
        escrow.openFor(order(), noise, noPermit());
    }

    function test_OpenForAContractWallet() public {
        // The wallet's address is part of what it approves: this contract's next deployment.
        SignedMessages.JobOrder memory wish = order();
        Wallet probe = new Wallet(token, address(escrow), 0);
        wish.client = address(probe);
        expectBadSignatureOf(wish.client);
        escrow.openFor(wish, "", noPermit());

        wish.client = nextAddress(0);
        Wallet wallet = new Wallet(token, address(escrow), escrow.orderDigest(wish));
        vm.assertEq(address(wallet), wish.client);
        token.mint(address(wallet), CAP);
        escrow.openFor(wish, "", noPermit());
        vm.assertEq(token.balanceOf(address(escrow)), CAP);
    }

    function test_PausingStopsIntakeOnly() public {
        openJob();
        vm.prank(guardian);
        escrow.pause();
        bytes memory signature = signDigest(CLIENT_KEY, escrow.orderDigest(order()));
        vm.expectRevert(Pausable.EnforcedPause.selector);
        vm.prank(client);
        escrow.open(ROOT, CAP, DEADLINE);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        escrow.openFor(order(), signature, noPermit());
        proposeJob(CAP);
        vm.warp(START + WINDOW);
        escrow.finalize(JOB);
        vm.prank(guardian);
        escrow.unpause();
        vm.prank(client);
        escrow.open(ROOT, CAP, DEADLINE);
        vm.prank(guardian);
        escrow.pause();
        vm.warp(DEADLINE + GRACE + 1);
        escrow.refund(ROOT);
    }

    function test_RevertWhen_StrangerPauses() public {
        bytes memory refusal = abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, escrow.PAUSER_ROLE()
        );
        vm.expectRevert(refusal);
        vm.prank(stranger);
        escrow.pause();
        vm.prank(guardian);
        escrow.pause();
        vm.expectRevert(refusal);
        vm.prank(stranger);
        escrow.unpause();
    }

    function revokeAllowance() private {
        vm.prank(client);
        token.approve(address(escrow), 0);
    }

    function expectBadSignature() private {
        expectBadSignatureOf(client);
    }

    function expectBadSignatureOf(address who) private {
        vm.expectRevert(abi.encodeWithSelector(EscrowTypes.InvalidOrderSignature.selector, who));
    }
}
