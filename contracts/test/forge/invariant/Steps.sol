// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../../src/Token.sol";
import {Actors} from "./Actors.sol";

/// @title What parties do in the life of a channel, sometimes too early, too late or with too much.
/// @dev All steps take three numbers, so that any of them can be drawn alike.
abstract contract Steps is Actors {
    function openChannel(uint256 parties, uint256 amount, uint256 way) external {
        open(people[parties % 3], people[2 + (parties / 3) % 3], amountUpTo(LIMIT, amount), way % 4);
    }

    function topUp(uint256 which, uint256 amount, uint256 way) external {
        (bool found, uint256 index) = pick(which, false);
        if (!found) return;
        Entry storage e = entries[index];
        uint192 added = amountUpTo(LIMIT - e.deposit, amount);
        (address payer, string memory name) = payerOf(e.sender, way % 4, "top up");
        uint256 arrived = way % 2 == 0 ? added : net(added);
        bool expected = isOpen(e) && arrived > 0 && arrived + e.deposit <= LIMIT && (payer != delegate || trusted);

        bytes memory call = way % 4 == 0
            ? abi.encodeCall(channels.topUp, (e.receiver, e.open_block, added))
            : abi.encodeCall(channels.topUpDelegate, (e.sender, e.receiver, e.open_block, added));
        bytes memory data = abi.encodePacked(e.sender, e.receiver, e.open_block);
        if (deposit(name, payer, added, way % 2 == 0 ? call : bytes(""), data, expected)) e.deposit += uint192(arrived);
    }

    /// @dev Off chain: the sender signs a balance, as good as its word only when the deposit covers it.
    function pay(uint256 which, uint256 amount, uint256) external {
        (bool found, uint256 index) = pick(which, false);
        if (!found) return;
        Entry storage e = entries[index];
        uint192 balance = e.best + amountUpTo(e.deposit - e.best, amount);
        if (balance <= e.deposit) e.best = balance;
        done["pay"]++;
    }

    function withdraw(uint256 which, uint256 amount, uint256) external {
        (bool found, uint256 index) = pick(which, false);
        if (!found) return;
        Entry storage e = entries[index];
        uint192 balance = e.withdrawn + amountUpTo(e.deposit - e.withdrawn, amount);
        bool expected = canWithdraw(e, balance) && gives(e.receiver, balance - e.withdrawn);

        bytes memory call = abi.encodeCall(channels.withdraw, (e.open_block, balance, proof(e, balance)));
        uint256 before = token.balanceOf(address(channels));
        if (!step("withdraw", e.receiver, address(channels), call, expected)) return;
        e.paid += before - token.balanceOf(address(channels));
        held[e.receiver] += net(balance - e.withdrawn);
        e.withdrawn = balance;
        if (e.best < balance) e.best = balance;
    }

    function cooperativeClose(uint256 which, uint256 amount, uint256 caller) external {
        (bool found, uint256 index) = pick(which, false);
        if (!found) return;
        Entry memory e = entries[index];
        uint192 balance = caller % 8 == 0 ? e.best : amountUpTo(e.deposit, amount);
        bool expected = canCloseTogether(e, balance) && givesBoth(e, balance);

        string memory name = e.settle_block == 0 ? "cooperative close" : "cooperative close in challenge";
        address bearer = caller % 2 == 0 ? stranger : people[caller % 5];
        end(name, bearer, closeTogether(e, balance), expected, index, balance);
    }

    function uncooperativeClose(uint256 which, uint256 amount, uint256) external {
        (bool found, uint256 index) = pick(which, false);
        if (!found) return;
        Entry storage e = entries[index];
        uint192 claim = amountUpTo(e.deposit, amount);
        bool expected = isOpen(e) && claim <= e.deposit;

        bytes memory call = abi.encodeCall(channels.uncooperativeClose, (e.receiver, e.open_block, claim));
        if (!step("uncooperative close", e.sender, address(channels), call, expected)) return;
        e.claim = claim;
        e.settle_block = height + CHALLENGE_PERIOD;
    }

    function settle(uint256 which, uint256, uint256) external {
        (bool found, uint256 index) = pickClosing(which);
        if (!found) return;
        Entry memory e = entries[index];
        uint192 balance = settlement(e);
        bool expected = canSettle(e) && givesBoth(e, balance);

        string memory name = e.claim < e.withdrawn ? "settle below withdrawn" : "settle";
        bytes memory call = abi.encodeCall(channels.settle, (e.receiver, e.open_block));
        end(name, e.sender, call, expected, index, balance);
    }

    /// @dev Some blocks on, or to the last block of a challenge period, or to the first one after it.
    function advance(uint256 blocks, uint256 kind, uint256 which) external {
        (bool found, uint256 index) = pickClosing(which);
        uint32 edge = found ? entries[index].settle_block : 0;
        if (kind % 2 == 0 && edge > height) return advanceTo(edge + uint32(blocks % 2));
        uint256 most = kind % 3 == 0 ? 1 : kind % 3 == 1 ? CHALLENGE_PERIOD / 2 : 2 * CHALLENGE_PERIOD;
        advanceTo(height + 1 + uint32(blocks % most));
        done["advance"]++;
    }

    /// @dev The owner trusts the delegate, or ceases to.
    function trust(uint256 kind, uint256, uint256) external {
        address[] memory list = new address[](2);
        (list[0], list[1]) = (delegate, stranger);
        trusted = kind % 4 != 0;
        if (trusted) channels.addTrustedContracts(list);
        else channels.removeTrustedContracts(list);
        done["trust"]++;
    }

    /// @dev Tokens that come to the contract by mistake stay there, and are nobody's.
    function loseTokens(uint256 amount, uint256, uint256) external {
        amount = amountUpTo(LIMIT, amount);
        if (!allows(stranger, address(channels))) return;
        bytes memory call = abi.encodeCall(ERC20.transfer, (address(channels), amount));
        step("lose tokens", stranger, address(token), call, true);
        held[stranger] -= cost(amount);
        stray += net(amount);
    }

    // What the steps are made of

    /// @dev Opens a channel: by the sender or the delegate (`way` 0, 1 or 2, 3), by ERC20 or ERC223 (even or odd).
    function open(address sender, address receiver, uint192 amount, uint256 way) internal returns (bool) {
        (address payer, string memory name) = payerOf(sender, way, "open");
        uint256 arrived = way % 2 == 0 ? amount : net(amount);
        bool expected = !opened(sender, receiver) && arrived <= LIMIT && (payer != delegate || trusted);

        bytes memory call = way == 0
            ? abi.encodeCall(channels.createChannel, (receiver, amount))
            : abi.encodeCall(channels.createChannelDelegate, (sender, receiver, amount));
        bytes memory data = abi.encodePacked(sender, receiver);
        if (!deposit(name, payer, amount, way % 2 == 0 ? call : bytes(""), data, expected)) return false;
        touched = entries.length;
        entries.push(Entry(sender, receiver, height, uint192(arrived), 0, 0, 0, 0, false, 0));
        return true;
    }

    function payerOf(address sender, uint256 way, string memory what)
        private
        view
        returns (address payer, string memory name)
    {
        string[4] memory ways = [" by ERC20", " by ERC223", " by delegate, ERC20", " by delegate, ERC223"];
        return (way < 2 ? sender : delegate, string.concat(what, ways[way]));
    }

    /// @dev Pays `amount` in by `call`, or with `data` the ERC223 way when there is none.
    function deposit(
        string memory name,
        address payer,
        uint192 amount,
        bytes memory call,
        bytes memory data,
        bool expected
    ) private returns (bool) {
        if (call.length == 0) {
            call = abi.encodeWithSignature("transfer(address,uint256,bytes)", channels, amount, data);
            expected = expected && allows(payer, address(channels));
            if (!step(name, payer, address(token), call, expected)) return false;
        } else if (!step(name, payer, address(channels), call, expected && takes(payer, amount))) {
            return false;
        }
        held[payer] -= cost(amount);
        return true;
    }

    /// @dev A call that settles a channel at `balance`, if it does what is expected.
    function end(
        string memory name,
        address caller,
        bytes memory call,
        bool expected,
        uint256 index,
        uint192 balance
    ) private {
        uint256 before = token.balanceOf(address(channels));
        if (!step(name, caller, address(channels), call, expected)) return;
        Entry storage e = entries[index];
        e.paid += before - token.balanceOf(address(channels));
        e.settled = true;
        held[e.receiver] += net(balance - e.withdrawn);
        held[e.sender] += net(e.deposit - balance);
    }
}
