// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title KILN, the token that jobs are paid in
/// @notice Burned when a job is finalized, minted only as the reward of work that burned it. 18 decimals.
/// @dev The cap bounds the supply in circulation, so burning makes room again. It has to fit 96 bits, because
///      JobEscrow and RewardDistributor store amounts in 96 bits.
contract KilnToken is ERC20, ERC20Burnable, ERC20Capped, ERC20Permit, AccessControl {
    /// @notice Who may mint: the RewardDistributor, and nobody else once the genesis supply is out.
    bytes32 public constant MINTER_ROLE = keccak256("MINTER_ROLE");

    /// @notice The cap of the supply does not fit 96 bits.
    /// @param cap What was asked for, in the smallest unit.
    error CapTooLarge(uint256 cap);

    /// @param cap_ Largest supply ever in circulation, in the smallest unit.
    /// @param admin Who grants and revokes roles.
    constructor(uint256 cap_, address admin) ERC20("Kiln", "KILN") ERC20Capped(cap_) ERC20Permit("Kiln") {
        if (cap_ > type(uint96).max) revert CapTooLarge(cap_);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @notice Creates `amount` new tokens for `to`. Reverts above the cap.
    /// @param to Who receives them.
    /// @param amount How many, in the smallest unit.
    function mint(address to, uint256 amount) external onlyRole(MINTER_ROLE) {
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Capped) {
        super._update(from, to, value);
    }
}
