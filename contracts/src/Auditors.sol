// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title The auditors whose signatures decide what a chain cannot recompute
/// @notice M of N. Another panel takes office only `panelDelay` after it was announced: whoever does not trust it has
///         left with stake and jobs by then.
abstract contract Auditors is AccessControl {
    /// @notice Most auditors of a panel.
    uint256 public constant MAX_AUDITORS = 64;
    /// @notice Seconds between the announcement of a panel and its taking office.
    uint40 public immutable panelDelay;
    /// @notice The number of the last panel announced; the first is 1.
    uint32 public lastPanel;

    /// @dev How many of a panel must sign, and when it takes office.
    struct Panel {
        uint8 threshold;
        uint40 activeAt;
    }

    mapping(uint32 panel => Panel) private _panels;
    mapping(uint32 panel => mapping(address auditor => bool)) private _members;

    /// @notice A panel was announced.
    event PanelAnnounced(uint32 indexed panel, address[] auditors, uint8 threshold, uint40 activeAt);

    /// @notice A panel has 1 to 64 auditors, and between 1 and all of them must sign.
    error InvalidPanel(uint256 auditors, uint8 threshold);
    /// @notice An auditor is zero, or named twice.
    error InvalidAuditor(address auditor);
    /// @notice The panel announced last has not taken office.
    error PanelPending(uint40 activeAt);
    /// @notice A signature is of nobody on the panel, or they are not in the ascending order of their signers.
    error InvalidAuditorSignature(uint256 index, address signer);
    /// @notice Fewer auditors signed than it takes.
    error TooFewSignatures(uint256 signatures, uint8 threshold);

    constructor(address admin, address[] memory auditors, uint8 threshold, uint40 panelDelay_) {
        panelDelay = panelDelay_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _announce(auditors, threshold, uint40(block.timestamp));
    }

    /// @notice Announces another panel.
    /// @param auditors Its members, each once.
    /// @param threshold How many of them must sign.
    function announcePanel(address[] memory auditors, uint8 threshold) external onlyRole(DEFAULT_ADMIN_ROLE) {
        uint40 pending = _panels[lastPanel].activeAt;
        if (block.timestamp < pending) revert PanelPending(pending);
        _announce(auditors, threshold, uint40(block.timestamp) + panelDelay);
    }

    /// @notice The number and threshold of the panel in office.
    function activePanel() public view returns (uint32 panel, uint8 threshold) {
        panel = lastPanel;
        if (block.timestamp < _panels[panel].activeAt) --panel;
        threshold = _panels[panel].threshold;
    }

    /// @notice Whether somebody is on the panel in office.
    function isAuditor(address account) external view returns (bool) {
        (uint32 panel,) = activePanel();
        return _members[panel][account];
    }

    /// @dev Reverts unless enough auditors of the panel in office signed the digest.
    function _checkSignatures(bytes32 digest, bytes[] calldata signatures) internal view {
        (uint32 panel, uint8 threshold) = activePanel();
        if (signatures.length < threshold) revert TooFewSignatures(signatures.length, threshold);
        address last = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            // slither-disable-next-line unused-return
            (address signer,,) = ECDSA.tryRecoverCalldata(digest, signatures[i]);
            // A failed recovery gives zero, which is never above the last.
            if (signer <= last || !_members[panel][signer]) revert InvalidAuditorSignature(i, signer);
            last = signer;
        }
    }

    function _announce(address[] memory auditors, uint8 threshold, uint40 activeAt) private {
        if (auditors.length == 0 || auditors.length > MAX_AUDITORS || threshold == 0 || threshold > auditors.length) {
            revert InvalidPanel(auditors.length, threshold);
        }
        uint32 panel = ++lastPanel;
        for (uint256 i = 0; i < auditors.length; ++i) {
            if (auditors[i] == address(0) || _members[panel][auditors[i]]) revert InvalidAuditor(auditors[i]);
            _members[panel][auditors[i]] = true;
        }
        _panels[panel] = Panel(threshold, activeAt);
        emit PanelAnnounced(panel, auditors, threshold, activeAt);
    }
}
