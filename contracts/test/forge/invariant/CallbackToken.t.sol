// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../../src/Token.sol";
import {vm} from "../Vm.sol";
import {Actors} from "./Actors.sol";
import {Attacks} from "./Attacks.sol";
import {ChannelInvariants} from "./ChannelInvariants.sol";
import {PlainToken} from "./PlainToken.sol";

/// @dev Calls the same party before and after everything that it moves.
contract CallbackToken is PlainToken {
    Intruder private observer;

    function notify(Intruder _observer) external {
        observer = _observer;
    }

    function move(address from, address to, uint256 amount) internal override returns (uint256 arrived) {
        if (address(observer) != address(0)) observer.onMove(from, to);
        arrived = super.move(from, to, amount);
        if (address(observer) != address(0)) observer.onMove(from, to);
    }
}

/// @dev Code at the address of a party, which has a key as well. Called back, it tries all that it was given.
contract Intruder {
    struct Attempt {
        address target;
        bytes data;
    }

    Attempt[] private attempts;
    bool private awake;
    bool private refuses;
    uint256 public tried;
    /// @notice Whether any attempt succeeded.
    bool public entered;

    function plan(Attempt[] calldata _attempts, bool _refuses) external {
        delete attempts;
        for (uint256 i = 0; i < _attempts.length; i++) attempts.push(_attempts[i]);
        refuses = _refuses;
    }

    function wake(bool _awake) external {
        awake = _awake;
    }

    function onMove(address from, address to) external {
        require(!refuses || (from != address(this) && to != address(this)), "refused");
        if (!awake) return;
        awake = false;
        for (uint256 i = 0; i < attempts.length; i++) {
            (bool success, ) = attempts[i].target.call(attempts[i].data);
            if (success) entered = true;
            tried++;
        }
        awake = true;
    }
}

contract CallbackTokenHandler is Attacks {
    Intruder private immutable intruder;
    bool private refuses;

    constructor(ERC20 token, uint32 first_block) Actors(token, first_block) {
        intruder = Intruder(people[2]);
        vm.etch(people[2], address(new Intruder()).code);
        CallbackToken(address(token)).notify(intruder);
    }

    /// @dev The intruder sets out to use a channel, its own or others', and sometimes refuses to pay and be paid.
    function plan(uint256 which, uint256 kind, uint256) external {
        (bool found, uint256 index) = pick(which, false);
        if (!found) return;
        Entry memory e = entries[index];
        uint192 balance = e.best;
        Intruder.Attempt[] memory list = new Intruder.Attempt[](7);
        list[0] = attempt(closeTogether(e, balance));
        list[1] = attempt(abi.encodeCall(channels.withdraw, (e.open_block, balance, proof(e, balance))));
        list[2] = attempt(abi.encodeCall(channels.topUp, (e.receiver, e.open_block, 1)));
        list[3] = attempt(abi.encodeCall(channels.uncooperativeClose, (e.receiver, e.open_block, 0)));
        list[4] = attempt(abi.encodeCall(channels.settle, (e.receiver, e.open_block)));
        list[5] = attempt(abi.encodeCall(channels.createChannel, (stranger, 1)));
        bytes memory data = abi.encodePacked(intruder, stranger);
        list[6] = Intruder.Attempt(
            address(token), abi.encodeWithSignature("transfer(address,uint256,bytes)", channels, 1, data)
        );
        refuses = kind % 4 == 0;
        intruder.plan(list, refuses);
    }

    function allows(address from, address to) public view override returns (bool) {
        return !refuses || (from != address(intruder) && to != address(intruder));
    }

    /// @inheritdoc Actors
    function relent() external override {
        intruder.plan(new Intruder.Attempt[](0), false);
    }

    /// @dev Only what the channel contract itself calls is a way to reenter it.
    function act(address caller, address target, bytes memory data) internal override returns (bool success) {
        uint256 before = intruder.tried();
        intruder.wake(target == address(channels));
        success = super.act(caller, target, data);
        intruder.wake(false);
        require(!intruder.entered(), "reentered");
        if (intruder.tried() > before) done["reenter"]++;
    }

    function attempt(bytes memory data) private view returns (Intruder.Attempt memory) {
        return Intruder.Attempt(address(channels), data);
    }
}

/// @title A token that calls a party back from every transfer: nothing is ever reentered.
/// forge-config: default.invariant.fail-on-revert = true
contract CallbackTokenInvariants is ChannelInvariants {
    function deploy() internal override returns (Attacks) {
        return new CallbackTokenHandler(ERC20(address(new CallbackToken())), FIRST_BLOCK);
    }

    function ownStep() internal pure override returns (bytes4 selector, string memory name) {
        return (CallbackTokenHandler.plan.selector, "reenter");
    }
}
