// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {bound} from "../Vm.sol";

/// @title What the channels and all holdings of tokens must be, told beside the contract by plain sums.
abstract contract Ledger {
    struct Entry {
        address sender;
        address receiver;
        uint32 open_block;
        uint192 deposit;
        uint192 withdrawn;
        /// @dev The highest balance that the sender has signed and that the deposit covers.
        uint192 best;
        uint192 claim;
        /// @dev Zero while no close was requested.
        uint32 settle_block;
        bool settled;
        /// @dev The tokens seen to leave the contract for this channel.
        uint256 paid;
    }

    Entry[] internal entries;

    /// @notice The channel that the last step was about, or any.
    uint256 public touched;

    /// @notice The block of the last step; blocks only go forward.
    uint32 public height;

    /// @notice The tokens that each address must hold; of the contract's, see `owed`.
    mapping(address => uint256) public held;

    /// @notice The tokens that came to the contract beside any channel.
    uint256 public stray;

    /// @notice How often each kind of step did what it is for.
    mapping(string => uint256) public done;

    function count() public view returns (uint256) {
        return entries.length;
    }

    function entry(uint256 index) public view returns (Entry memory) {
        return entries[index];
    }

    function all() external view returns (Entry[] memory) {
        return entries;
    }

    /// @notice The deposits of all open channels, less what was withdrawn from them.
    function owed() public view returns (uint256 sum) {
        for (uint256 i = 0; i < entries.length; i++) {
            if (!entries[i].settled) sum += entries[i].deposit - entries[i].withdrawn;
        }
    }

    /// @dev Whether the pair has opened a channel in this block, settled or not.
    function opened(address sender, address receiver) internal view returns (bool) {
        for (uint256 i = entries.length; i > 0 && entries[i - 1].open_block == height; i--) {
            if (entries[i - 1].sender == sender && entries[i - 1].receiver == receiver) return true;
        }
        return false;
    }

    /// @dev A channel that is or is not settled; `found` is false when there is none.
    function pick(uint256 seed, bool settled) internal returns (bool found, uint256 index) {
        for (uint256 i = 0; i < entries.length; i++) {
            touched = index = (seed % entries.length + i) % entries.length;
            if (entries[index].settled == settled) return (true, index);
        }
    }

    /// @dev A channel whose close was requested, else any that is open.
    function pickClosing(uint256 seed) internal returns (bool found, uint256 index) {
        for (uint256 i = 0; i < entries.length; i++) {
            touched = index = (seed % entries.length + i) % entries.length;
            if (entries[index].settle_block != 0 && !entries[index].settled) return (true, index);
        }
        return pick(seed, false);
    }

    function isOpen(Entry memory e) internal pure returns (bool) {
        return !e.settled && e.settle_block == 0;
    }

    function canWithdraw(Entry memory e, uint192 balance) internal pure returns (bool) {
        return isOpen(e) && balance > e.withdrawn && balance <= e.deposit;
    }

    function canCloseTogether(Entry memory e, uint192 balance) internal view returns (bool) {
        return !e.settled && height > e.open_block && balance >= e.withdrawn && balance <= e.deposit;
    }

    function canSettle(Entry memory e) internal view returns (bool) {
        return !e.settled && e.settle_block != 0 && height > e.settle_block;
    }

    /// @dev What a settlement without the receiver's word leaves to the receiver.
    function settlement(Entry memory e) internal pure returns (uint192) {
        return e.claim < e.withdrawn ? e.withdrawn : e.claim;
    }

    /// @dev Amounts of all sizes: mostly small against `high`, sometimes just above it.
    function amountUpTo(uint256 high, uint256 seed) internal pure returns (uint192) {
        return uint192(bound(seed >> 2, 0, seed % 4 == 0 ? high + high / 8 + 1 : high / 4));
    }
}
