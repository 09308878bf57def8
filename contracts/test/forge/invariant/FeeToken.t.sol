// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../../src/Token.sol";
import {Actors} from "./Actors.sol";
import {Attacks} from "./Attacks.sol";
import {ChannelInvariants} from "./ChannelInvariants.sol";
import {PlainToken} from "./PlainToken.sol";

/// @dev Takes one percent of what arrives, or charges it on top, or takes nothing, as it likes at the time.
contract FeeToken is PlainToken {
    enum Fee { None, OfTheAmount, OnTop }

    Fee public fee;

    function charge(Fee _fee) external {
        fee = _fee;
    }

    function cost(uint256 amount) public view returns (uint256) {
        return fee == Fee.OnTop ? amount + amount / 100 : amount;
    }

    function net(uint256 amount) public view returns (uint256) {
        return fee == Fee.OfTheAmount ? amount - amount / 100 : amount;
    }

    function move(address from, address to, uint256 amount) internal override returns (uint256 arrived) {
        balanceOf[from] -= cost(amount);
        arrived = net(amount);
        balanceOf[to] += arrived;
    }
}

contract FeeTokenHandler is Attacks {
    constructor(ERC20 token, uint32 first_block) Actors(token, first_block) {}

    /// @dev The token changes its mind.
    function charge(uint256 kind, uint256, uint256) external {
        FeeToken(address(token)).charge(FeeToken.Fee(kind % 3));
        done["charge"]++;
    }

    function cost(uint256 amount) public view override returns (uint256) {
        return FeeToken(address(token)).cost(amount);
    }

    function net(uint256 amount) public view override returns (uint256) {
        return FeeToken(address(token)).net(amount);
    }

    /// @inheritdoc Actors
    function relent() external override {
        if (FeeToken(address(token)).fee() == FeeToken.Fee.OnTop) FeeToken(address(token)).charge(FeeToken.Fee.None);
    }
}

/// @title A token that takes a fee: deposits are exact or refused, payments reach the parties less the fee.
/// forge-config: default.invariant.fail-on-revert = true
contract FeeTokenInvariants is ChannelInvariants {
    function deploy() internal override returns (Attacks) {
        return new FeeTokenHandler(ERC20(address(new FeeToken())), FIRST_BLOCK);
    }

    function ownStep() internal pure override returns (bytes4 selector, string memory name) {
        return (FeeTokenHandler.charge.selector, "charge");
    }
}
