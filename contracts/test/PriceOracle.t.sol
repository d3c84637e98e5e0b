// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {PriceOracle} from "../src/PriceOracle.sol";
import {Base} from "./Base.sol";

contract PriceOracleTest is Base {
    PriceOracle private oracle;

    function setUp() public override {
        super.setUp();
        oracle = new PriceOracle(address(this), 0.1 ether, PriceOracle.Bounds(0.01 ether, 1 ether, 1_000, 60, 3_600));
        oracle.grantRole(oracle.REPORTER_ROLE(), coordinator);
    }

    function test_RevertWhen_BoundsExcludeEverything() public {
        vm.expectRevert(PriceOracle.InvalidBounds.selector);
        new PriceOracle(address(this), 1, PriceOracle.Bounds(0, 1, 0, 0, 0));
        vm.expectRevert(PriceOracle.InvalidBounds.selector);
        new PriceOracle(address(this), 1, PriceOracle.Bounds(2, 1, 0, 0, 0));
        vm.expectRevert(abi.encodeWithSelector(PriceOracle.PriceOutOfBounds.selector, 3, 1, 2));
        new PriceOracle(address(this), 3, PriceOracle.Bounds(1, 2, 0, 0, 0));
    }

    function test_ReportsWithinAllLimits() public {
        vm.warp(START + 60);
        vm.expectEmit();
        emit PriceOracle.PriceReported(0.11 ether);
        report(0.11 ether);
        vm.assertEq(oracle.price(), 0.11 ether);
        vm.assertEq(uint256(oracle.reportedAt()), START + 60);
        vm.warp(START + 120);
        report(0.1 ether);
        vm.assertEq(uint256(oracle.bounds().highest), 1 ether);
    }

    function test_RevertWhen_ReportedTooSoon() public {
        vm.warp(START + 59);
        vm.expectRevert(abi.encodeWithSelector(PriceOracle.ReportTooSoon.selector, START + 59, START + 60));
        report(0.1 ether);
    }

    function test_RevertWhen_PriceJumps() public {
        vm.warp(START + 60);
        vm.expectRevert(abi.encodeWithSelector(PriceOracle.PriceJumped.selector, 0.11 ether + 1, 0.1 ether, 1_000));
        report(0.11 ether + 1);
        vm.expectRevert(abi.encodeWithSelector(PriceOracle.PriceJumped.selector, 0.09 ether - 1, 0.1 ether, 1_000));
        report(0.09 ether - 1);
    }

    function testFuzz_NeverOutsideTheBounds(uint128[8] calldata prices) public {
        for (uint256 i = 0; i < prices.length; ++i) {
            vm.warp(block.timestamp + 60);
            vm.prank(coordinator);
            try oracle.report(prices[i] % 2 ether) {} catch {}
            vm.assertLe(oracle.price(), 1 ether);
            vm.assertLe(0.01 ether, oracle.price());
        }
    }

    function test_BoundsHoldWhereNoStepIsTooLarge() public {
        oracle = new PriceOracle(address(this), 2, PriceOracle.Bounds(2, 3, 10_000, 0, 1));
        oracle.grantRole(oracle.REPORTER_ROLE(), coordinator);
        vm.expectRevert(abi.encodeWithSelector(PriceOracle.PriceOutOfBounds.selector, 1, 2, 3));
        report(1);
        vm.expectRevert(abi.encodeWithSelector(PriceOracle.PriceOutOfBounds.selector, 4, 2, 3));
        report(4);
        report(3);
    }

    function test_RevertWhen_Stale() public {
        vm.warp(START + 3_600);
        vm.assertEq(oracle.price(), 0.1 ether);
        vm.warp(START + 3_601);
        vm.expectRevert(abi.encodeWithSelector(PriceOracle.StalePrice.selector, START, 3_600));
        oracle.price();
        vm.assertEq(uint256(oracle.lastPrice()), 0.1 ether);
        report(0.1 ether);
        vm.assertEq(oracle.price(), 0.1 ether);
    }

    function test_AFixedPriceHoldsForEver() public {
        oracle = new PriceOracle(address(this), 0.1 ether, PriceOracle.Bounds(1, 1 ether, 0, 0, 0));
        oracle.grantRole(oracle.REPORTER_ROLE(), coordinator);
        vm.warp(START + 3650 days);
        vm.assertEq(oracle.price(), 0.1 ether);
        vm.expectRevert(PriceOracle.PriceIsFixed.selector);
        report(0.1 ether);
    }

    function test_RevertWhen_StrangerReports() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, oracle.REPORTER_ROLE()
            )
        );
        vm.prank(stranger);
        oracle.report(0.1 ether);
    }

    function report(uint128 value) private {
        vm.prank(coordinator);
        oracle.report(value);
    }
}
