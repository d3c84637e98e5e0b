// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {KilnToken} from "../src/KilnToken.sol";
import {Base} from "./Base.sol";

contract KilnTokenTest is Base {
    function test_NameSymbolDecimals() public view {
        vm.assertEq(keccak256(bytes(token.name())), keccak256("Kiln"));
        vm.assertEq(keccak256(bytes(token.symbol())), keccak256("KILN"));
        vm.assertEq(uint256(token.decimals()), 18);
    }

    function test_RevertWhen_CapDoesNotFit96Bits() public {
        uint256 cap = uint256(type(uint96).max) + 1;
        vm.expectRevert(abi.encodeWithSelector(KilnToken.CapTooLarge.selector, cap));
        new KilnToken(cap, address(this));
    }

    function test_RevertWhen_MintedByStranger() public {
        bytes32 role = token.MINTER_ROLE();
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, role)
        );
        vm.prank(stranger);
        token.mint(stranger, 1);
    }

    function test_RevertWhen_MintedAboveCap() public {
        uint256 room = token.cap() - token.totalSupply();
        token.mint(stranger, room);
        vm.expectRevert(abi.encodeWithSelector(ERC20Capped.ERC20ExceededCap.selector, token.cap() + 1, token.cap()));
        token.mint(stranger, 1);
    }

    function testFuzz_BurningMakesRoom(uint96 amount) public {
        uint256 room = token.cap() - token.totalSupply();
        token.mint(stranger, room);
        uint256 burnt = amount % (room + 1);
        vm.prank(stranger);
        token.burn(burnt);
        token.mint(node, burnt);
        vm.assertEq(token.totalSupply(), token.cap());
    }
}
