// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../../src/Token.sol";
import {Actors} from "./Actors.sol";
import {Attacks} from "./Attacks.sol";
import {ChannelInvariants} from "./ChannelInvariants.sol";
import {PlainToken} from "./PlainToken.sol";

/// @dev Returns nothing, wherever the standard has a bool.
contract SilentToken is PlainToken {
    function answer(bool) internal pure override returns (bool) {
        assembly ("memory-safe") {
            return(0, 0)
        }
    }
}

contract SilentTokenHandler is Attacks {
    constructor(ERC20 token, uint32 first_block) Actors(token, first_block) {}
}

/// @title A token that returns nothing.
/// forge-config: default.invariant.fail-on-revert = true
contract SilentTokenInvariants is ChannelInvariants {
    function deploy() internal override returns (Attacks) {
        return new SilentTokenHandler(ERC20(address(new SilentToken())), FIRST_BLOCK);
    }
}
