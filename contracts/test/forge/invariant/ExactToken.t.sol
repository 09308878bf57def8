// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CustomToken} from "../../../src/CustomToken.sol";
import {ERC20} from "../../../src/Token.sol";
import {Actors} from "./Actors.sol";
import {Attacks} from "./Attacks.sol";
import {ChannelInvariants} from "./ChannelInvariants.sol";

contract ExactTokenHandler is Attacks {
    constructor(ERC20 token, uint32 first_block) Actors(token, first_block) {}
}

/// @title The token of this repository: ERC20 and ERC223, exact amounts.
/// forge-config: default.invariant.fail-on-revert = true
contract ExactTokenInvariants is ChannelInvariants {
    function deploy() internal override returns (Attacks) {
        return new ExactTokenHandler(new CustomToken(10 ** 30, "CustomToken", "TKN", 18), FIRST_BLOCK);
    }
}
