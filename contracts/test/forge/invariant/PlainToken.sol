// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC223Receiver} from "../../../src/Token.sol";

/// @title A token of both ways to pay that a misbehaving one changes in what it moves and what it answers.
abstract contract PlainToken {
    uint256 public constant totalSupply = 10 ** 30;

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor() {
        balanceOf[msg.sender] = totalSupply;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return answer(true);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (!willing(msg.sender, to)) return answer(false);
        move(msg.sender, to, amount);
        return answer(true);
    }

    function transfer(address to, uint256 amount, bytes calldata data) external returns (bool) {
        require(willing(msg.sender, to), "refused");
        uint256 arrived = move(msg.sender, to, amount);
        if (to.code.length > 0) ERC223Receiver(to).tokenFallback(msg.sender, arrived, data);
        return answer(true);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (!willing(from, to)) return answer(false);
        allowance[from][msg.sender] -= amount;
        move(from, to, amount);
        return answer(true);
    }

    /// @dev Whether the token moves anything from `from` to `to`.
    function willing(address, address) internal view virtual returns (bool) {
        return true;
    }

    function move(address from, address to, uint256 amount) internal virtual returns (uint256 arrived) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return amount;
    }

    function answer(bool success) internal view virtual returns (bool) {
        return success;
    }
}
