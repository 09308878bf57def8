// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The part of forge's cheatcodes that the tests use.
interface Vm {
    // Who calls, and when
    function prank(address caller) external;
    function startPrank(address caller) external;
    function stopPrank() external;
    function roll(uint256 block_number) external;
    function deal(address account, uint256 wei_balance) external;
    function etch(address account, bytes calldata code) external;
    function label(address account, string calldata name) external;

    // Keys
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 hash) external pure returns (uint8 v, bytes32 r, bytes32 s);

    // What the next call must do
    function expectRevert(bytes calldata reason) external;
    function expectRevert(bytes4 selector) external;
    function expectRevert() external;
    function expectEmit(address emitter) external;
    function expectCall(address callee, bytes calldata data) external;
    function expectCall(address callee, bytes calldata data, uint64 count) external;

    // What was written to the log
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);

    // Fuzzed inputs
    function assume(bool condition) external pure;

    // Assertions; the text says what was held
    function assertTrue(bool condition) external pure;
    function assertTrue(bool condition, string calldata text) external pure;
    function assertFalse(bool condition) external pure;
    function assertFalse(bool condition, string calldata text) external pure;
    function assertEq(uint256 left, uint256 right) external pure;
    function assertEq(uint256 left, uint256 right, string calldata text) external pure;
    function assertEq(address left, address right) external pure;
    function assertEq(address left, address right, string calldata text) external pure;
    function assertEq(bytes32 left, bytes32 right) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata text) external pure;
    function assertEq(string calldata left, string calldata right) external pure;
    function assertEq(bytes calldata left, bytes calldata right) external pure;
    function assertLe(uint256 left, uint256 right) external pure;
    function assertLe(uint256 left, uint256 right, string calldata text) external pure;
    function assertGe(uint256 left, uint256 right) external pure;
    function assertGe(uint256 left, uint256 right, string calldata text) external pure;

    // Files, below tests/vectors/ only; paths are from contracts/
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
}

/// @dev Where forge answers cheatcodes.
Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @dev `x` brought between `low` and `high`, both included; stays what it is if it lies there already.
function bound(uint256 x, uint256 low, uint256 high) pure returns (uint256) {
    require(low <= high, "bounds are the wrong way round");
    if (x >= low && x <= high) return x;
    uint256 size = high - low;
    return size == type(uint256).max ? x : low + x % (size + 1);
}
