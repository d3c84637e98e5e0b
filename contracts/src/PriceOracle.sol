// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// @title What a KILN is worth in USD
/// @notice A reporter posts the price. It stays within bounds that were fixed when this was deployed, moves by a limited
///         share per report and not more often than `minInterval`, and is refused once it is older than `maxAge`. With
///         `maxAge` 0 the first price holds for ever: for local chains, whose tokens are worth nothing.
/// @dev No contract reads it: an escrow is in KILN, and quotes are made off the chain.
contract PriceOracle is AccessControl {
    /// @notice What is fixed at deployment. Prices are USD per KILN with 18 decimals, times in seconds.
    struct Bounds {
        uint128 lowest;
        uint128 highest;
        uint16 maxChangeBps;
        uint40 minInterval;
        uint40 maxAge;
    }

    /// @notice Who reports.
    bytes32 public constant REPORTER_ROLE = keccak256("REPORTER_ROLE");

    /// @notice The last price, in USD per KILN with 18 decimals, however old.
    uint128 public lastPrice;
    /// @notice When it was reported.
    uint40 public reportedAt;

    Bounds private _bounds;

    /// @notice A price was reported.
    event PriceReported(uint256 price);

    /// @notice The bounds exclude every price.
    error InvalidBounds();
    /// @notice The price is outside the bounds.
    error PriceOutOfBounds(uint256 price, uint256 lowest, uint256 highest);
    /// @notice The price moved more than a report may.
    error PriceJumped(uint256 price, uint256 previous, uint256 maxChangeBps);
    /// @notice The last report is too recent.
    error ReportTooSoon(uint256 time, uint256 next);
    /// @notice The price is fixed.
    error PriceIsFixed();
    /// @notice The last report is too old to be used.
    error StalePrice(uint256 reportedAt, uint256 maxAge);

    /// @param admin Who names reporters.
    /// @param firstPrice The first price.
    /// @param limits What is fixed.
    constructor(address admin, uint128 firstPrice, Bounds memory limits) {
        if (limits.lowest == 0 || limits.lowest > limits.highest) revert InvalidBounds();
        _bounds = limits;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _keep(firstPrice);
    }

    /// @notice Reports a price.
    /// @param value USD per KILN with 18 decimals.
    function report(uint128 value) external onlyRole(REPORTER_ROLE) {
        Bounds memory limits = _bounds;
        if (limits.maxAge == 0) revert PriceIsFixed();
        uint256 next = uint256(reportedAt) + limits.minInterval;
        if (block.timestamp < next) revert ReportTooSoon(block.timestamp, next);
        uint256 previous = lastPrice;
        uint256 change = value > previous ? value - previous : previous - value;
        if (change * 10_000 > previous * limits.maxChangeBps) revert PriceJumped(value, previous, limits.maxChangeBps);
        _keep(value);
    }

    /// @notice The price now, in USD per KILN with 18 decimals. Reverts where the last report is too old.
    function price() external view returns (uint256) {
        uint40 maxAge = _bounds.maxAge;
        if (maxAge != 0 && block.timestamp > uint256(reportedAt) + maxAge) revert StalePrice(reportedAt, maxAge);
        return lastPrice;
    }

    /// @notice What is fixed.
    function bounds() external view returns (Bounds memory) {
        return _bounds;
    }

    function _keep(uint128 value) private {
        if (value < _bounds.lowest || value > _bounds.highest) {
            revert PriceOutOfBounds(value, _bounds.lowest, _bounds.highest);
        }
        lastPrice = value;
        reportedAt = uint40(block.timestamp);
        emit PriceReported(value);
    }
}
