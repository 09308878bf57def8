// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Recovers the signer of a hash from a signature of 65 bytes: r, s, v.
library ECVerify {
    /// @dev Half of the curve's order, rounded down. For every signature (r, s) there is a second one (r, n - s) that
    /// anyone can compute; only the one with the lower s counts.
    uint256 private constant HIGHEST_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @notice A signature has 65 bytes.
    error InvalidSignatureLength(uint256 length);
    /// @notice The last byte is none of 0, 1, 27 and 28.
    error InvalidSignatureV(uint8 v);
    /// @notice `s` is in the upper half: this is the second form of a signature, which does not count.
    error InvalidSignatureS(uint256 s);
    /// @notice No key can have made this signature.
    error InvalidSignature();

    /// @notice Who signed `_hash`; never the zero address. `v` may be written as 27 and 28 or as 0 and 1.
    function recover(bytes32 _hash, bytes calldata _signature) internal pure returns (address signer) {
        if (_signature.length != 65) revert InvalidSignatureLength(_signature.length);
        bytes32 r = bytes32(_signature[0:32]);
        bytes32 s = bytes32(_signature[32:64]);
        uint8 v = uint8(_signature[64]);

        if (uint256(s) > HIGHEST_S) revert InvalidSignatureS(uint256(s));
        if (v != 0 && v != 1 && v != 27 && v != 28) revert InvalidSignatureV(v);
        if (v < 27) v += 27;

        signer = ecrecover(_hash, v, r, s);
        if (signer == address(0)) revert InvalidSignature();
    }
}
