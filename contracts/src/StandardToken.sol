// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20, ERC223Receiver, Token} from "./Token.sol";

/// @title A token that moves exact amounts: no fee, and no call to the recipient but in the ERC223 transfer.
abstract contract StandardToken is Token {
    /// @inheritdoc ERC20
    uint256 public override totalSupply;

    mapping(address => uint256) private balances;
    mapping(address => mapping(address => uint256)) private allowances;

    /// @notice Neither the zero address nor the token itself can hold tokens.
    error InvalidRecipient(address to);
    /// @notice The zero address holds no tokens.
    error InvalidOwner(address from);
    /// @notice `owner` holds fewer tokens than `value`.
    error BalanceTooLow(address owner, uint256 balance, uint256 value);
    /// @notice `spender` may send fewer tokens than `value`.
    error AllowanceTooLow(address spender, uint256 allowance, uint256 value);
    /// @notice An allowance changes only to or from zero: else its spender could spend the old one and the new one.
    error AllowanceNotSpent(address spender, uint256 allowance);

    /// @inheritdoc ERC20
    function transfer(address _to, uint256 _value) external override returns (bool success) {
        move(msg.sender, _to, _value);
        return true;
    }

    /// @inheritdoc Token
    function transfer(address _to, uint256 _value, bytes calldata _data) external override returns (bool success) {
        move(msg.sender, _to, _value);
        if (_to.code.length > 0) {
            ERC223Receiver(_to).tokenFallback(msg.sender, _value, _data);
        }
        return true;
    }

    /// @inheritdoc ERC20
    function transferFrom(address _from, address _to, uint256 _value) external override returns (bool success) {
        if (_from == address(0)) revert InvalidOwner(_from);
        uint256 allowed = allowances[_from][msg.sender];
        if (allowed < _value) revert AllowanceTooLow(msg.sender, allowed, _value);

        allowances[_from][msg.sender] = allowed - _value;
        move(_from, _to, _value);
        return true;
    }

    /// @inheritdoc ERC20
    function approve(address _spender, uint256 _value) external override returns (bool success) {
        uint256 allowed = allowances[msg.sender][_spender];
        if (_value != 0 && allowed != 0) revert AllowanceNotSpent(_spender, allowed);

        allowances[msg.sender][_spender] = _value;
        emit Approval(msg.sender, _spender, _value);
        return true;
    }

    /// @inheritdoc ERC20
    function balanceOf(address _owner) external view override returns (uint256 balance) {
        return balances[_owner];
    }

    /// @inheritdoc ERC20
    function allowance(address _owner, address _spender) external view override returns (uint256 remaining) {
        return allowances[_owner][_spender];
    }

    /// @dev Creates `_value` tokens for `_to`; says nothing to the log, its caller does.
    function issue(address _to, uint256 _value) internal {
        totalSupply += _value;
        balances[_to] += _value;
    }

    function move(address _from, address _to, uint256 _value) private {
        if (_to == address(0) || _to == address(this)) revert InvalidRecipient(_to);
        uint256 balance = balances[_from];
        if (balance < _value) revert BalanceTooLow(_from, balance, _value);

        balances[_from] = balance - _value;
        balances[_to] += _value;
        emit Transfer(_from, _to, _value);
    }
}
