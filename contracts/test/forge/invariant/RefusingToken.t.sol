// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../../src/Token.sol";
import {Actors} from "./Actors.sol";
import {Attacks} from "./Attacks.sol";
import {ChannelInvariants} from "./ChannelInvariants.sol";
import {PlainToken} from "./PlainToken.sol";

/// @dev Can be paused, and can refuse single addresses; then it reverts, or merely returns false.
contract RefusingToken is PlainToken {
    bool public paused;
    mapping(address => bool) public refused;
    bool private says_false;

    function pause(bool _paused) external {
        paused = _paused;
    }

    function refuse(address who, bool _refused) external {
        refused[who] = _refused;
    }

    function sayFalse(bool _says_false) external {
        says_false = _says_false;
    }

    function willing(address from, address to) internal view override returns (bool) {
        return !paused && !refused[from] && !refused[to];
    }

    function answer(bool success) internal view override returns (bool) {
        require(success || says_false, "refused");
        return success;
    }
}

contract RefusingTokenHandler is Attacks {
    constructor(ERC20 token, uint32 first_block) Actors(token, first_block) {}

    /// @dev The token turns on someone, or on all, or forgives.
    function refuse(uint256 whom, uint256 kind, uint256 how) external {
        RefusingToken refusing = RefusingToken(address(token));
        refusing.sayFalse(how % 2 == 0);
        if (kind % 5 == 0) refusing.pause(true);
        else if (kind % 5 == 1) refusing.refuse(people[whom % 5], true);
        else if (kind % 5 == 2 && whom % 4 == 0) refusing.refuse(address(channels), true);
        else forgive();
        done["refuse"]++;
    }

    function allows(address from, address to) public view override returns (bool) {
        RefusingToken refusing = RefusingToken(address(token));
        return !refusing.paused() && !refusing.refused(from) && !refusing.refused(to);
    }

    /// @inheritdoc Actors
    function relent() external override {
        forgive();
    }

    function forgive() private {
        RefusingToken refusing = RefusingToken(address(token));
        refusing.pause(false);
        refusing.refuse(address(channels), false);
        for (uint256 i = 0; i < people.length; i++) refusing.refuse(people[i], false);
    }
}

/// @title A token that is paused and blacklists: nothing is lost by it, and all can be had once it relents.
/// forge-config: default.invariant.fail-on-revert = true
contract RefusingTokenInvariants is ChannelInvariants {
    function deploy() internal override returns (Attacks) {
        return new RefusingTokenHandler(ERC20(address(new RefusingToken())), FIRST_BLOCK);
    }

    function ownStep() internal pure override returns (bytes4 selector, string memory name) {
        return (RefusingTokenHandler.refuse.selector, "refuse");
    }
}
