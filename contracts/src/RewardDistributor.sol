// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IBurnCounter, IPooledAccounts, IRewardPools} from "./Interfaces.sol";
import {KilnToken} from "./KilnToken.sol";

/// @title Rewards of nodes, paid by cumulative Merkle claims
/// @notice Once per epoch the coordinator posts a root over (account, everything it ever earned) and the sum of them.
///         An account claims the difference to what it has claimed. A guardian can veto a root while its window is
///         open. Whatever a root says, no more than its total is ever minted, and a total is at most 95% of what
///         jobs have burned. What an operator with co-stakers earns is shared with them by the registry.
contract RewardDistributor is AccessControl, ReentrancyGuardTransient, IPooledAccounts {
    /// @notice One account's claim.
    struct Claim {
        address account;
        uint256 cumulative;
        bytes32[] proof;
    }

    /// @notice One epoch's statement. `activeAt` is in unix seconds, and 0 once claims are made on it.
    struct Epoch {
        bytes32 root;
        uint96 total;
        uint40 activeAt;
        uint64 number;
    }

    /// @dev The epoch that claims are made on, what was claimed in all, and when the pending one takes its place (0 if
    ///      none does): two slots, which are all of this contract's that a claim reads, but its account's.
    struct Active {
        bytes32 root;
        uint96 total;
        uint96 claimed;
        uint32 promoteAt;
        uint32 number;
    }

    /// @dev What an account has claimed, and whether its rewards are shared by the registry.
    struct Account {
        uint96 claimed;
        bool pooled;
    }

    /// @notice Who posts roots.
    bytes32 public constant COORDINATOR_ROLE = keccak256("COORDINATOR_ROLE");
    /// @notice Who may veto them.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");
    /// @notice Most that is minted for what was burned, in 1/10000.
    uint256 public constant REWARD_BPS = 9_500;
    /// @notice Longest veto window that can be deployed, in seconds.
    uint40 public constant MAX_VETO_WINDOW = 90 days;

    /// @notice The token that rewards are minted in.
    KilnToken public immutable token;
    /// @notice Where burning is counted.
    IBurnCounter public immutable burnCounter;
    /// @notice Who shares the rewards of operators with co-stakers.
    IRewardPools public immutable registry;
    /// @notice Seconds in which a posted root can be vetoed and not yet be claimed on.
    uint40 public immutable vetoWindow;

    mapping(address account => Account) private _accounts;
    Active private _active;
    Epoch private _pending;

    /// @notice A root was posted; claims on it are possible from `activeAt`.
    event RootPosted(uint64 indexed epoch, bytes32 root, uint256 total, uint40 activeAt);
    /// @notice A root was vetoed; its number is used up.
    event RootVetoed(uint64 indexed epoch, bytes32 root);
    /// @notice From now on an account's rewards are shared by the registry.
    event Pooled(address indexed account);
    /// @notice An account was paid, or the registry for it.
    event Claimed(address indexed account, uint256 amount, uint256 cumulative);

    /// @notice An address that must be something is zero.
    error ZeroAddress();
    /// @notice A root, or its total, is zero.
    error EmptyRoot();
    /// @notice Epochs are posted one by one.
    error WrongEpoch(uint64 epoch, uint64 expected);
    /// @notice The root before can still be vetoed.
    error RootStillPending(uint64 epoch, uint40 activeAt);
    /// @notice A total never decreases.
    error TotalDecreased(uint256 total, uint256 previous);
    /// @notice A total is at most 95% of what was burned.
    error TotalAboveBurned(uint256 total, uint256 limit);
    /// @notice There is no root whose veto window is open.
    error NothingToVeto();
    /// @notice The account and amount do not hang on the active root.
    error InvalidProof(address account, uint256 cumulative);
    /// @notice The account has claimed all of that.
    error NothingToClaim(address account, uint256 claimed);
    /// @notice The root's leaves add up to more than its total.
    error ClaimsAboveTotal(uint256 claims, uint256 total);
    /// @notice A root waits for at most MAX_VETO_WINDOW.
    error VetoWindowTooLong(uint256 vetoWindow);
    /// @notice Only the registry may do that.
    error NotRegistry(address caller);

    /// @param token_ The token; this contract needs its MINTER_ROLE.
    /// @param burnCounter_ Where burning is counted: the JobEscrow.
    /// @param registry_ Who shares the rewards of operators with co-stakers: the NodeRegistry.
    /// @param admin Who grants and revokes roles.
    /// @param vetoWindow_ Seconds, may be 0 where nobody watches (local chains).
    constructor(
        KilnToken token_,
        IBurnCounter burnCounter_,
        IRewardPools registry_,
        address admin,
        uint40 vetoWindow_
    ) {
        if (address(token_) == address(0) || address(burnCounter_) == address(0)) {
            revert ZeroAddress();
        }
        if (address(registry_) == address(0) || admin == address(0)) revert ZeroAddress();
        if (vetoWindow_ > MAX_VETO_WINDOW) revert VetoWindowTooLong(vetoWindow_);
        token = token_;
        burnCounter = burnCounter_;
        registry = registry_;
        vetoWindow = vetoWindow_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @notice Posts the cumulative root of the next epoch.
    /// @param epoch The number after the last one posted, vetoed ones included; the first is 1.
    /// @param root Merkle root over `rewardLeaf` of every account.
    /// @param total Sum of the leaves, in the smallest unit.
    function postRoot(uint64 epoch, bytes32 root, uint256 total) external onlyRole(COORDINATOR_ROLE) {
        if (root == 0 || total == 0) revert EmptyRoot();
        _promote();
        if (_pending.root != 0) revert RootStillPending(_pending.number, _pending.activeAt);
        uint64 expected = lastEpoch() + 1;
        if (epoch != expected) revert WrongEpoch(epoch, expected);
        if (total < _active.total) revert TotalDecreased(total, _active.total);
        uint256 limit = (burnCounter.totalBurned() * REWARD_BPS) / 10_000;
        // The counter outgrows the 96 bits only after many times the largest supply was burned.
        if (limit > type(uint96).max) limit = type(uint96).max;
        if (total > limit) revert TotalAboveBurned(total, limit);

        uint40 activeAt = uint40(block.timestamp) + vetoWindow;
        // forge-lint: disable-next-line(unsafe-typecast)
        uint96 kept = uint96(total); // at most the limit
        _pending = Epoch({root: root, total: kept, activeAt: activeAt, number: epoch});
        // forge-lint: disable-next-line(unsafe-typecast)
        _active.promoteAt = uint32(activeAt); // seconds until 2106
        emit RootPosted(epoch, root, total, activeAt);
        if (vetoWindow == 0) _promote();
    }

    /// @notice Withdraws the root whose veto window is open.
    function veto() external onlyRole(GUARDIAN_ROLE) {
        Epoch memory pending = _pending;
        if (pending.root == 0 || block.timestamp >= pending.activeAt) revert NothingToVeto();
        // The number stays, so that a vetoed root cannot be posted again by a stale message.
        _pending = Epoch({root: 0, total: 0, activeAt: 0, number: pending.number});
        _active.promoteAt = 0;
        emit RootVetoed(pending.number, pending.root);
    }

    /// @notice Mints what an account has earned and not claimed. Anybody may call it.
    /// @param account Who receives it.
    /// @param cumulative All the account ever earned, as in the active root.
    /// @param proof Siblings from the leaf up; pairs are hashed sorted.
    /// @return amount What was minted.
    function claim(address account, uint256 cumulative, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 amount)
    {
        _promote();
        amount = _claim(account, cumulative, proof);
        if (amount == 0) revert NothingToClaim(account, _accounts[account].claimed);
    }

    /// @notice Claims for many accounts. Those with nothing left are skipped, so that nobody can spoil a batch by
    ///         claiming first.
    /// @param claims The claims.
    /// @return amount What was minted in all.
    function claimMany(Claim[] calldata claims) external nonReentrant returns (uint256 amount) {
        _promote();
        for (uint256 i = 0; i < claims.length; ++i) {
            amount += _claim(claims[i].account, claims[i].cumulative, claims[i].proof);
        }
    }

    /// @notice Has an account's rewards shared by the registry from now on, for ever. For the registry.
    function setPooled(address account) external {
        if (msg.sender != address(registry)) revert NotRegistry(msg.sender);
        _accounts[account].pooled = true;
        emit Pooled(account);
    }

    /// @notice All that was minted here, in the smallest unit.
    function totalClaimed() external view returns (uint256) {
        return _active.claimed;
    }

    /// @notice What an account has claimed so far, in the smallest unit.
    function claimed(address account) external view returns (uint256) {
        return _accounts[account].claimed;
    }

    /// @notice Whether an account's rewards are shared by the registry.
    function isPooled(address account) external view returns (bool) {
        return _accounts[account].pooled;
    }

    /// @notice The root that claims are made on now.
    function activeEpoch() external view returns (Epoch memory) {
        if (_isPromotable()) return Epoch(_pending.root, _pending.total, 0, _pending.number);
        return Epoch(_active.root, _active.total, 0, _active.number);
    }

    /// @notice The root whose veto window is open; all zero but the number if there is none.
    function pendingEpoch() external view returns (Epoch memory epoch) {
        if (!_isPromotable()) epoch = _pending;
    }

    /// @notice The number of the last root posted, vetoed or not.
    function lastEpoch() public view returns (uint64) {
        return _pending.number > _active.number ? _pending.number : _active.number;
    }

    /// @notice An account's leaf in the tree of rewards.
    function rewardLeaf(address account, uint256 cumulative) public pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
    }

    function _claim(address account, uint256 cumulative, bytes32[] calldata proof) private returns (uint256 amount) {
        if (!MerkleProof.verifyCalldata(proof, _active.root, rewardLeaf(account, cumulative))) {
            revert InvalidProof(account, cumulative);
        }
        Account memory kept = _accounts[account];
        if (cumulative <= kept.claimed) return 0;
        amount = cumulative - kept.claimed;
        Active memory active = _active;
        uint256 claims = active.claimed + amount;
        if (claims > active.total) revert ClaimsAboveTotal(claims, active.total);
        // forge-lint: disable-next-line(unsafe-typecast)
        _accounts[account].claimed = uint96(cumulative); // what was claimed in all has 96 bits
        // forge-lint: disable-next-line(unsafe-typecast)
        _active.claimed = uint96(claims); // at most the total
        emit Claimed(account, amount, cumulative);
        if (kept.pooled) {
            uint256 own = registry.credit(account, amount);
            if (own != amount) token.mint(address(registry), amount - own);
            if (own != 0) token.mint(account, own);
        } else {
            token.mint(account, amount);
        }
    }

    function _isPromotable() private view returns (bool) {
        uint32 promoteAt = _active.promoteAt;
        return promoteAt != 0 && block.timestamp >= promoteAt;
    }

    /// @dev Makes a root whose window is over the active one.
    function _promote() private {
        if (!_isPromotable()) return;
        _active.root = _pending.root;
        _active.total = _pending.total;
        _active.promoteAt = 0;
        _active.number = uint32(_pending.number);
        delete _pending;
    }
}
