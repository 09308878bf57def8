// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC223Receiver} from "../../../src/Token.sol";
import {Proofs} from "./Proofs.sol";
import {Steps} from "./Steps.sol";

/// @title What nobody may do: forged and foreign signatures, other people's channels, old keys, garbage.
abstract contract Attacks is Steps {
    function forgeProof(uint256 which, uint256 amount, uint256 kind) external {
        (bool found, uint256 index) = pick(which, false);
        if (!found) return;
        Entry memory e = entries[index];
        uint192 balance = e.withdrawn + amountUpTo(e.deposit - e.withdrawn, amount);
        bytes memory call = abi.encodeCall(channels.withdraw, (e.open_block, balance, forgedProof(e, balance, kind)));
        attack("forge proof", e.receiver, call, canWithdraw(e, balance));

        call = closeWith(e, balance, forgedProof(e, balance, kind), closing(e, balance));
        attack("forge proof to close", e.sender, call, canCloseTogether(e, balance));
    }

    function forgeClosing(uint256 which, uint256 amount, uint256 kind) external {
        (bool found, uint256 index) = pick(which, false);
        if (!found) return;
        Entry memory e = entries[index];
        uint192 balance = e.withdrawn + amountUpTo(e.deposit - e.withdrawn, amount);
        bytes memory call = closeWith(e, balance, proof(e, balance), forgedClosing(e, balance, kind));
        attack("forge closing", e.sender, call, canCloseTogether(e, balance));
    }

    /// @dev With the true signatures, but not who may use them.
    function meddle(uint256 which, uint256 amount, uint256 kind) external {
        (bool found, uint256 index) = kind % 3 == 0 ? pickClosing(which) : pick(which, false);
        if (!found) return;
        Entry memory e = entries[index];
        uint192 balance = e.withdrawn + amountUpTo(e.deposit - e.withdrawn, amount);
        address caller = kind % 2 == 0 ? stranger : people[3 + amount % 2];
        bytes memory call;
        if (caller != e.receiver) {
            call = abi.encodeCall(channels.withdraw, (e.open_block, balance, proof(e, balance)));
            attack("withdraw another's", caller, call, canWithdraw(e, balance));
        }
        call = abi.encodeCall(channels.uncooperativeClose, (e.receiver, e.open_block, balance));
        attack("close another's", caller, call, isOpen(e) && balance <= e.deposit);
        call = abi.encodeCall(channels.settle, (e.receiver, e.open_block));
        attack("settle another's", caller, call, canSettle(e));
        call = abi.encodeCall(channels.topUp, (e.receiver, e.open_block, balance));
        attack("top up another's", caller, call, isOpen(e) && balance > 0 && e.deposit + balance <= LIMIT);
    }

    /// @dev Deposits in the name of people[0], or that never came.
    function feignDeposit(uint256 which, uint256 amount, uint256 kind) external {
        amount = amountUpTo(LIMIT / 2, amount);
        (bool found, uint256 index) = pick(which, false);
        bytes memory data = found && kind % 3 == 0
            ? abi.encodePacked(entries[index].sender, entries[index].receiver, entries[index].open_block)
            : abi.encodePacked(people[0], people[3]);
        address cheat = kind % 2 == 0 ? stranger : impostor;

        bytes memory call = abi.encodeCall(ERC223Receiver.tokenFallback, (people[0], amount, data));
        attack("feign a transfer", kind % 2 == 0 ? people[0] : cheat, call, amount > 0);
        call = abi.encodeCall(channels.createChannelDelegate, (people[0], people[3], uint192(amount)));
        attack("feign a delegate", cheat, call, !opened(people[0], people[3]));
        call = abi.encodeCall(channels.topUpDelegate, (people[0], people[3], height, uint192(amount)));
        attack("feign a delegate's top up", cheat, call, opened(people[0], people[3]) && amount > 0);

        call = abi.encodeWithSignature("transfer(address,uint256,bytes)", channels, amount, data);
        if (act(cheat, address(token), call)) revert("deposit in another's name: accepted");
        done["deposit in another's name"]++;

        call = abi.encodeWithSignature("transfer(address,uint256,bytes)", channels, amount, misshapen(data, kind));
        if (act(people[0], address(token), call)) revert("misshapen data: accepted");
        done["misshapen data"]++;
    }

    function grabTrust(uint256 kind, uint256, uint256) external {
        address[] memory list = new address[](1);
        list[0] = kind % 2 == 0 ? delegate : impostor;
        attack("grab trust", impostor, abi.encodeCall(channels.addTrustedContracts, (list)), true);
        attack("revoke trust", impostor, abi.encodeCall(channels.removeTrustedContracts, (list)), true);
    }

    /// @dev A key that was settled never opens again, and its signatures are worth nothing.
    function replay(uint256 which, uint256 amount, uint256) external {
        (bool found, uint256 index) = pick(which, true);
        if (!found) return;
        Entry memory e = entries[index];
        uint192 balance = e.withdrawn + amountUpTo(e.deposit - e.withdrawn, amount);
        bytes memory call = abi.encodeCall(channels.withdraw, (e.open_block, balance, proof(e, balance)));
        attack("replay proof", e.receiver, call, true);
        attack("replay close", stranger, closeTogether(e, balance), true);
        attack("settle twice", e.sender, abi.encodeCall(channels.settle, (e.receiver, e.open_block)), true);
        call = abi.encodeCall(channels.uncooperativeClose, (e.receiver, e.open_block, balance));
        attack("close when settled", e.sender, call, true);
        call = abi.encodeCall(channels.topUp, (e.receiver, e.open_block, balance + 1));
        attack("top up when settled", e.sender, call, true);
    }

    /// @dev Opens, settles and opens again in one block: the second open would revive the first one's signatures.
    function reuseKey(uint256 parties, uint256 amount, uint256 kind) external {
        (address sender, address receiver) = (people[parties % 3], people[2 + (parties / 3) % 3]);
        uint192 deposited = amountUpTo(LIMIT, amount);
        if (!open(sender, receiver, deposited, kind % 2)) return;
        Entry memory e = entries[entries.length - 1];
        attack("settle in open block", stranger, closeTogether(e, uint192(kind % (e.deposit + 1))), true);
        attack("open twice", sender, abi.encodeCall(channels.createChannel, (receiver, deposited)), true);
        bytes memory call = abi.encodeWithSignature(
            "transfer(address,uint256,bytes)", channels, 1, abi.encodePacked(sender, receiver)
        );
        if (act(sender, address(token), call)) revert("open twice by ERC223: accepted");
    }

    /// @dev Any entry point with any words, by one that has signed and allowed nothing to be taken.
    function shoot(uint256 seed, uint256 which, uint256 kind) external {
        string[14] memory signatures = [
            "tokenFallback(address,uint256,bytes)",
            "createChannel(address,uint192)",
            "createChannelDelegate(address,address,uint192)",
            "topUp(address,uint32,uint192)",
            "topUpDelegate(address,address,uint32,uint192)",
            "withdraw(uint32,uint192,bytes)",
            "cooperativeClose(address,uint32,uint192,bytes,bytes)",
            "uncooperativeClose(address,uint32,uint192)",
            "settle(address,uint32)",
            "getChannelInfo(address,address,uint32)",
            "addTrustedContracts(address[])",
            "removeTrustedContracts(address[])",
            "transfer(address,uint256)",
            ""
        ];
        bytes memory words;
        for (uint256 i = 0; i < which % 9; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            words = abi.encodePacked(words, seed >> (seed % 4 * 64));
        }
        bytes4 selector = bytes4(keccak256(bytes(signatures[kind % 14])));
        act(address(uint160(seed) | 1 << 159), address(channels), abi.encodePacked(selector, words));
        done["shoot"]++;
    }

    // Signatures that are not worth the balance that they are shown for

    function forgedProof(Entry memory e, uint192 balance, uint256 kind) private view returns (bytes memory) {
        (uint256 key, address self) = (keys[e.sender], address(channels));
        kind %= 8;
        if (kind == 0) return Proofs.balanceProof(STRANGER_KEY, e.receiver, e.open_block, balance, self);
        if (kind == 1) return Proofs.balanceProof(key, stranger, e.open_block, balance, self);
        if (kind == 2) return Proofs.balanceProof(key, e.receiver, e.open_block + 1, balance, self);
        if (kind == 3) return Proofs.balanceProof(key, e.receiver, e.open_block, balance / 2 + LIMIT, self);
        if (kind == 4) return Proofs.balanceProof(key, e.receiver, e.open_block, balance, address(token));
        if (kind == 5) return Proofs.closing(key, e.receiver, e.open_block, balance, self);
        if (kind == 6) return Proofs.twin(proof(e, balance));
        return abi.encodePacked(proof(e, balance), uint8(0));
    }

    function forgedClosing(Entry memory e, uint192 balance, uint256 kind) private view returns (bytes memory) {
        (uint256 key, address self) = (keys[e.receiver], address(channels));
        kind %= 8;
        if (kind == 0) return Proofs.closing(STRANGER_KEY, e.sender, e.open_block, balance, self);
        if (kind == 1) return Proofs.closing(key, stranger, e.open_block, balance, self);
        if (kind == 2) return Proofs.closing(key, e.sender, e.open_block + 1, balance, self);
        if (kind == 3) return Proofs.closing(key, e.sender, e.open_block, balance / 2 + LIMIT, self);
        if (kind == 4) return Proofs.closing(key, e.sender, e.open_block, balance, address(token));
        if (kind == 5) return Proofs.balanceProof(key, e.sender, e.open_block, balance, self);
        if (kind == 6) return Proofs.twin(closing(e, balance));
        return abi.encodePacked(closing(e, balance), uint8(0));
    }

    /// @dev Data that is neither 40 nor 44 bytes long.
    function misshapen(bytes memory data, uint256 kind) private pure returns (bytes memory) {
        if (kind % 4 == 0) return "";
        if (kind % 4 == 1) return abi.encodePacked(data, uint8(0));
        if (kind % 4 == 2) return abi.encodePacked(data, uint16(0));
        return abi.encodePacked(data, data);
    }
}
