// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Stake that many own by shares
/// @notice A deposit buys shares at what one is worth; rewards and slashes change what all of them are worth. Every
///         rounding is in favour of the pool, so that all shares together are never worth more than what is in it.
/// @dev As in OpenZeppelin's ERC4626, VIRTUAL_SHARES that nobody owns stand against one unit that is not there: whoever
///      lifts the price of a share to round a later deposit away loses more than they take. What is in the pool is
///      counted here, never read from a balance, so tokens sent to the contract change nothing.
///      Slashes make shares cheap, and shares that grow without end would overflow and keep people from leaving. So a
///      slash that leaves less than 1/MAX_DILUTION of what a share once cost takes the rest as well and begins another
///      generation: shares of an earlier one are worth nothing. (S + V) <= MAX_DILUTION * V * (A + 1) holds at all
///      times, which with A below 2^96 keeps S in 128 bits (2^96 * 10^6 * 2^12 < 2^128).
library StakePool {
    using SafeCast for uint256;

    /// @notice One slot.
    struct Pool {
        uint96 assets;
        uint128 shares;
        uint32 generation;
    }

    /// @notice What somebody has of a pool.
    struct Holding {
        uint128 shares;
        uint32 generation;
    }

    /// @notice Shares for a unit of a fresh pool, and how many of them belong to nobody.
    uint256 internal constant VIRTUAL_SHARES = 1e6;
    /// @notice How far slashes may lower the price of a share.
    uint256 internal constant MAX_DILUTION = 2 ** 12;

    /// @notice A deposit is worth no share.
    error DepositTooSmall(uint256 amount);

    /// @notice Somebody's shares, if they are of the present generation.
    function sharesOf(Pool storage pool, Holding storage holding) internal view returns (uint256) {
        return holding.generation == pool.generation ? holding.shares : 0;
    }

    /// @notice What somebody's shares are worth, rounded down.
    function worth(Pool storage pool, Holding storage holding) internal view returns (uint256) {
        return (sharesOf(pool, holding) * (uint256(pool.assets) + 1)) / (uint256(pool.shares) + VIRTUAL_SHARES);
    }

    /// @notice Adds an amount of 96 bits; the shares it buys are rounded down.
    function deposit(Pool storage pool, Holding storage holding, uint256 amount) internal {
        uint256 shares = (amount * (uint256(pool.shares) + VIRTUAL_SHARES)) / (uint256(pool.assets) + 1);
        if (shares == 0) revert DepositTooSmall(amount);
        holding.shares = (sharesOf(pool, holding) + shares).toUint128();
        holding.generation = pool.generation;
        pool.assets = (pool.assets + amount).toUint96();
        pool.shares = (pool.shares + shares).toUint128();
    }

    /// @notice Takes an amount out, which is at most what somebody's shares are worth, and the shares that it costs,
    ///         rounded up; all of them if it is all they are worth.
    function take(Pool storage pool, Holding storage holding, uint256 amount) internal {
        uint256 shares = sharesOf(pool, holding);
        if (amount < worth(pool, holding)) {
            shares = Math.ceilDiv(amount * (uint256(pool.shares) + VIRTUAL_SHARES), uint256(pool.assets) + 1);
        }
        holding.shares = (holding.shares - shares).toUint128();
        pool.assets = (pool.assets - amount).toUint96();
        pool.shares = (pool.shares - shares).toUint128();
    }

    /// @notice Adds an amount to what all shares are worth.
    function reward(Pool storage pool, uint256 amount) internal {
        pool.assets = (pool.assets + amount).toUint96();
    }

    /// @notice Takes a share of the pool, in 1/10000 and rounded down, from all; or the whole of it where next to
    ///         nothing would be left.
    function slash(Pool storage pool, uint256 bps) internal returns (uint256 amount) {
        uint256 assets = pool.assets;
        amount = (assets * bps) / 10_000;
        if (pool.shares + VIRTUAL_SHARES > MAX_DILUTION * VIRTUAL_SHARES * (assets - amount + 1)) {
            amount = assets;
            pool.shares = 0;
            ++pool.generation;
        }
        pool.assets = (assets - amount).toUint96();
    }
}
