// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC223Receiver} from "../../src/Token.sol";

/// @title A token without manners: anyone mints, and nobody's allowance is asked. Those below break one promise each.
contract LooseToken {
    mapping(address => uint256) internal balances;

    /// @dev Some, since the channel contract asks.
    uint256 public constant totalSupply = 1;

    function mint(address to, uint256 value) external {
        balances[to] += value;
    }

    function balanceOf(address owner) external view virtual returns (uint256) {
        return balances[owner];
    }

    function transfer(address to, uint256 value) external virtual returns (bool) {
        move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external virtual returns (bool) {
        move(from, to, value);
        return true;
    }

    function move(address from, address to, uint256 value) internal virtual {
        balances[from] -= value;
        balances[to] += value;
    }
}

/// @dev Keeps a tenth of what moves, or charges a tenth on top.
contract FeeToken is LooseToken {
    enum Fee {
        None,
        Inside,
        OnTop
    }

    Fee public fee;

    function charge(Fee changed) external {
        fee = changed;
    }

    function move(address from, address to, uint256 value) internal override {
        balances[from] -= fee == Fee.OnTop ? value + value / 10 : value;
        balances[to] += fee == Fee.Inside ? value - value / 10 : value;
    }
}

/// @dev Returns what it is told to return, `true` to begin with, after moving the tokens or instead of it.
contract AnsweringToken is LooseToken {
    bytes private answer = abi.encode(true);
    bool private moves = true;

    function answerWith(bytes calldata changed, bool moving) external {
        (answer, moves) = (changed, moving);
    }

    function transfer(address to, uint256 value) external override returns (bool) {
        if (moves) move(msg.sender, to, value);
        reply();
    }

    function transferFrom(address from, address to, uint256 value) external override returns (bool) {
        if (moves) move(from, to, value);
        reply();
    }

    function reply() private view {
        bytes memory bare = answer;
        assembly {
            return(add(bare, 32), mload(bare))
        }
    }
}

/// @dev Moves nothing while it is paused, and nothing to or from those on its list.
contract RefusingToken is LooseToken {
    bool public paused;
    mapping(address => bool) public listed;

    error Paused();
    error Listed(address party);

    function pause(bool changed) external {
        paused = changed;
    }

    function list(address party, bool changed) external {
        listed[party] = changed;
    }

    function move(address from, address to, uint256 value) internal override {
        if (paused) revert Paused();
        if (listed[from]) revert Listed(from);
        if (listed[to]) revert Listed(to);
        super.move(from, to, value);
    }
}

/// @dev Reverts when something is to move, without a reason.
contract BrokenToken is LooseToken {
    function move(address, address, uint256 value) internal pure override {
        if (value > 0) revert();
    }
}

/// @dev Changes balances by itself.
contract RebasingToken is LooseToken {
    function rebase(address owner, uint256 balance) external {
        balances[owner] = balance;
    }
}

/// @dev Tells whatever balance it is told to tell, once it is told.
contract LyingToken is LooseToken {
    bool private lies;
    uint256 private told;

    function lie(uint256 balance) external {
        (lies, told) = (true, balance);
    }

    function balanceOf(address owner) external view override returns (uint256) {
        return lies ? told : balances[owner];
    }
}

/// @dev Calls back with `attack` each time that it moves tokens, and keeps the answer.
contract ReentrantToken is LooseToken {
    address private target;
    bytes private attack;
    uint256 public attempts;
    bool public succeeded;
    bytes public answer;

    /// @dev Attempts are counted from here; no attacked contract, no attack.
    function attackWith(address attacked, bytes calldata call) external {
        (target, attack, attempts) = (attacked, call, 0);
    }

    function move(address from, address to, uint256 value) internal override {
        super.move(from, to, value);
        if (target == address(0)) return;
        attempts++;
        (succeeded, answer) = target.call(attack);
    }
}

/// @dev Tells a recipient that is a contract also when it is paid by `transfer` and `transferFrom`.
contract HookToken is LooseToken {
    function move(address from, address to, uint256 value) internal override {
        super.move(from, to, value);
        if (to.code.length > 0) ERC223Receiver(to).tokenFallback(from, value, abi.encodePacked(from, to));
    }
}
