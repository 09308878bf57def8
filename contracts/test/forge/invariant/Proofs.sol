// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../Vm.sol";

/// @title The signatures of both parties, by the documentation and without the contract's help.
library Proofs {
    uint256 private constant CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    /// @dev The sender's signature that it owes `receiver` all of `balance`.
    function balanceProof(uint256 key, address receiver, uint32 open_block, uint192 balance, address channels)
        internal
        pure
        returns (bytes memory)
    {
        bytes32 schema = 0x58609bfe78970060668532972d17b7dead82d88aa62966110094cd806a421d9c;
        bytes memory values =
            abi.encodePacked("Sender balance proof signature", receiver, open_block, balance, channels);
        return signed(key, keccak256(abi.encodePacked(schema, keccak256(values))));
    }

    /// @dev The receiver's signature that the channel of `sender` may close at `balance`.
    function closing(uint256 key, address sender, uint32 open_block, uint192 balance, address channels)
        internal
        pure
        returns (bytes memory)
    {
        bytes32 schema = 0x9d3122a6193f337abb0b13a1e6d57b164a6acb15d825b38a5bd2e66af512f09f;
        bytes memory values =
            abi.encodePacked("Receiver closing signature", sender, open_block, balance, channels);
        return signed(key, keccak256(abi.encodePacked(schema, keccak256(values))));
    }

    /// @dev The second signature of the same key and hash, which anyone can compute.
    function twin(bytes memory signature) internal pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = (word(signature, 32), uint256(word(signature, 64)), uint8(signature[64]));
        return abi.encodePacked(r, CURVE_ORDER - s, v == 27 ? uint8(28) : uint8(27));
    }

    function signed(uint256 key, bytes32 hash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }

    function word(bytes memory data, uint256 end) private pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := mload(add(data, end))
        }
    }
}
