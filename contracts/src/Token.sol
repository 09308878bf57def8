// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The part of the ERC20 standard that moves tokens and counts them.
interface ERC20 {
    /// @notice `_value` tokens went from `_from` to `_to`.
    event Transfer(address indexed _from, address indexed _to, uint256 _value);
    /// @notice `_owner` allows `_spender` to send `_value` of its tokens.
    event Approval(address indexed _owner, address indexed _spender, uint256 _value);

    /// @notice How many tokens exist, in base units.
    function totalSupply() external view returns (uint256 supply);

    /// @notice How many tokens `_owner` holds.
    function balanceOf(address _owner) external view returns (uint256 balance);

    /// @notice Sends `_value` tokens of the caller to `_to`.
    function transfer(address _to, uint256 _value) external returns (bool success);

    /// @notice Sends `_value` tokens of `_from` to `_to`, out of what `_from` allowed the caller.
    function transferFrom(address _from, address _to, uint256 _value) external returns (bool success);

    /// @notice Allows `_spender` to send `_value` tokens of the caller.
    function approve(address _spender, uint256 _value) external returns (bool success);

    /// @notice How many tokens of `_owner` `_spender` may still send.
    function allowance(address _owner, address _spender) external view returns (uint256 remaining);
}

/// @title What a contract offers that receives ERC223 tokens.
interface ERC223Receiver {
    /// @notice Called by the token after it has credited `_value` tokens of `_sender` to this contract.
    function tokenFallback(address _sender, uint256 _value, bytes calldata _data) external;
}

/// @title A token with its description and both ways to pay: ERC20 and ERC223.
abstract contract Token is ERC20 {
    /// @notice The token's name, for people.
    function name() external view virtual returns (string memory);

    /// @notice The token's short name, for people.
    function symbol() external view virtual returns (string memory);

    /// @notice How many decimal places people shift a number of base units.
    function decimals() external view virtual returns (uint8);

    /// @notice Sends `_value` tokens of the caller to `_to`, and tells `_to` with `_data` when it is a contract.
    function transfer(address _to, uint256 _value, bytes calldata _data) external virtual returns (bool success);
}
