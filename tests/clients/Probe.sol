// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title A contract for client libraries to try a node with: it stores, logs, fails, and tells what it sees.
contract Probe {
    /// @notice What the contract can see of the block it runs in.
    struct Surroundings {
        uint256 number;
        uint256 timestamp;
        uint256 basefee;
        uint256 gaslimit;
        uint256 chainid;
        address coinbase;
        uint256 prevrandao;
        bytes32 parent;
    }

    /// @notice The stored value, in slot 0.
    uint256 public value;

    /// @notice `by` stored `value`.
    event ValueSet(address indexed by, uint256 value);
    /// @notice `from` paid `amount`.
    event Paid(address indexed from, uint256 amount);
    /// @notice One of many.
    event Counted(uint256 indexed index);
    /// @notice What a transaction saw of its block.
    event Seen(Surroundings surroundings);

    /// @notice `value` is above `limit`.
    error TooHigh(uint256 value, uint256 limit);

    /// @notice Stores a first value, without an event.
    constructor(uint256 _value) {
        value = _value;
    }

    /// @notice Takes ether.
    receive() external payable {
        emit Paid(msg.sender, msg.value);
    }

    /// @notice Takes ether along with a call.
    function pay() external payable {
        emit Paid(msg.sender, msg.value);
    }

    /// @notice Stores a value.
    function set(uint256 _value) external {
        value = _value;
        emit ValueSet(msg.sender, _value);
    }

    /// @notice Emits `Counted` for 0 up to `_count`, excluded.
    function count(uint256 _count) external {
        for (uint256 index = 0; index < _count; index++) emit Counted(index);
    }

    /// @notice Logs the surroundings of the transaction.
    function look() external {
        emit Seen(surroundings());
    }

    /// @notice The surroundings of the call.
    function surroundings() public view returns (Surroundings memory) {
        return Surroundings({
            number: block.number,
            timestamp: block.timestamp,
            basefee: block.basefee,
            gaslimit: block.gaslimit,
            chainid: block.chainid,
            coinbase: block.coinbase,
            prevrandao: block.prevrandao,
            parent: block.number == 0 ? bytes32(0) : blockhash(block.number - 1)
        });
    }

    /// @notice Who calls.
    function caller() external view returns (address) {
        return msg.sender;
    }

    /// @notice Reverts with a string.
    function failWithString() external pure {
        revert("the probe refuses");
    }

    /// @notice Reverts with `TooHigh`.
    function failWithError(uint256 _value, uint256 _limit) external pure {
        revert TooHigh(_value, _limit);
    }

    /// @notice Panics with code 0x11 if the sum overflows.
    function add(uint256 _first, uint256 _second) external pure returns (uint256) {
        return _first + _second;
    }

    /// @notice Panics with code 0x01.
    function failWithAssertion() external pure {
        assert(false);
    }

    /// @notice Reverts without data.
    function failWithoutData() external pure {
        assembly {
            revert(0, 0)
        }
    }
}
