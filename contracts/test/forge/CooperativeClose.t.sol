// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../src/Token.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Closing with both signatures.
contract CooperativeCloseTest is ChannelTest {
    function testFuzz_PaysBothAndForgetsTheChannel(uint192 deposit, uint192 balance, address caller) public {
        deposit %= LIMIT + 1;
        balance %= deposit + 1;
        uint32 open_block = openChannel(deposit);
        bytes memory proof = balanceProof(open_block, balance);
        bytes memory closing = closingSignature(open_block, balance);

        vm.expectEmit(address(channels));
        emit ChannelSettled(sender, receiver, open_block, balance, balance);
        vm.prank(caller);
        channels.cooperativeClose(receiver, open_block, balance, proof, closing);

        assertForgotten(open_block);
        assertTokens(SENDER_TOKENS - balance, balance);
    }

    function test_TheChannelsEventComesFirstThenTheReceiverThenTheSender() public {
        uint32 open_block = openChannel(10);
        vm.expectEmit(address(channels));
        emit ChannelSettled(sender, receiver, open_block, 4, 4);
        vm.expectEmit(address(token));
        emit ERC20.Transfer(address(channels), receiver, 4);
        vm.expectEmit(address(token));
        emit ERC20.Transfer(address(channels), sender, 6);
        cooperativeClose(open_block, 4);
    }

    function test_PaymentsOfZeroAreNotSent() public {
        uint32 open_block = openChannel(10);
        vm.expectCall(address(token), abi.encodeCall(ERC20.transfer, (receiver, 0)), 0);
        vm.expectCall(address(token), abi.encodeCall(ERC20.transfer, (sender, 10)), 1);
        cooperativeClose(open_block, 0);

        open_block = openChannel(10);
        vm.expectCall(address(token), abi.encodeCall(ERC20.transfer, (receiver, 10)), 1);
        vm.expectCall(address(token), abi.encodeCall(ERC20.transfer, (sender, 0)), 0);
        cooperativeClose(open_block, 10);
    }

    function testFuzz_WhatWasWithdrawnIsSubtracted(uint192 deposit, uint192 withdrawn, uint192 balance) public {
        deposit = 1 + deposit % LIMIT;
        withdrawn = 1 + withdrawn % deposit;
        balance = withdrawn + balance % (deposit - withdrawn + 1);
        uint32 open_block = openChannel(deposit);
        withdraw(open_block, withdrawn);

        vm.expectEmit(address(channels));
        emit ChannelSettled(sender, receiver, open_block, balance, balance - withdrawn);
        cooperativeClose(open_block, balance);

        assertTokens(SENDER_TOKENS - balance, balance);
        vm.assertEq(channels.withdrawn_balances(keyOf(open_block)), withdrawn);
    }

    function test_WorksDuringTheChallengeWhateverTheSenderClaims() public {
        uint32 open_block = openChannel(10);
        uncooperativeClose(open_block, 0);
        vm.roll(block.number + CHALLENGE_PERIOD);
        cooperativeClose(open_block, 7);
        assertForgotten(open_block);
        assertTokens(SENDER_TOKENS - 7, 7);
    }

    function test_WorksAfterTheChallengeUntilItIsSettled() public {
        uint32 open_block = openChannel(10);
        uncooperativeClose(open_block, 10);
        vm.roll(block.number + CHALLENGE_PERIOD + 1000);
        cooperativeClose(open_block, 7);
        assertForgotten(open_block);
        assertTokens(SENDER_TOKENS - 7, 7);
    }

    function test_ASenderMayBeItsOwnReceiver() public {
        vm.roll(77);
        approve(10);
        vm.prank(sender);
        channels.createChannel(sender, 10);
        nextBlock();
        bytes memory proof = signed(SENDER_KEY, balanceProofHash(sender, 77, 4, address(channels)));
        bytes memory closing = signed(SENDER_KEY, closingHash(sender, 77, 4, address(channels)));
        channels.cooperativeClose(sender, 77, 4, proof, closing);
        assertTokens(SENDER_TOKENS, 0);
    }

    function test_RevertWhen_InTheBlockThatOpenedTheChannel() public {
        uint32 open_block = uint32(block.number);
        approve(5);
        vm.prank(sender);
        channels.createChannel(receiver, 5);
        expectRefusal(open_block, 2, abi.encodeWithSelector(SettledInOpenBlock.selector, open_block));
    }

    function test_RevertWhen_ClosedAlready() public {
        uint32 open_block = openChannel(10);
        openChannel(10); // others' tokens are there
        cooperativeClose(open_block, 7);
        expectRefusal(open_block, 7, notFound(open_block));
    }

    function testFuzz_RevertWhen_TheBalanceIsAboveTheDeposit(uint192 deposit, uint192 balance) public {
        deposit %= LIMIT + 1;
        vm.assume(balance > deposit);
        uint32 open_block = openChannel(deposit);
        openChannel(LIMIT); // others' tokens are there
        expectRefusal(open_block, balance, abi.encodeWithSelector(BalanceAboveDeposit.selector, balance, deposit));
    }

    function test_RevertWhen_TheBalanceIsBelowWhatWasWithdrawn() public {
        uint32 open_block = openChannel(10);
        withdraw(open_block, 7);
        expectRefusal(open_block, 6, abi.encodeWithSelector(BalanceBelowWithdrawn.selector, 6, 7));
        cooperativeClose(open_block, 7);
        assertTokens(SENDER_TOKENS - 7, 7);
    }

    function test_RevertWhen_TheClosingSignatureIsAnothers() public {
        uint32 open_block = openChannel(10);
        bytes memory proof = balanceProof(open_block, 4);
        bytes memory closing = signed(STRANGER_KEY, closingHash(sender, open_block, 4, address(channels)));
        vm.expectRevert(abi.encodeWithSelector(ClosingSignerNotReceiver.selector, stranger, receiver));
        channels.cooperativeClose(receiver, open_block, 4, proof, closing);
    }

    function test_RevertWhen_TheSenderSignedTheCloseToo() public {
        uint32 open_block = openChannel(10);
        bytes memory proof = balanceProof(open_block, 4);
        bytes memory closing = signed(SENDER_KEY, closingHash(sender, open_block, 4, address(channels)));
        vm.expectRevert(abi.encodeWithSelector(ClosingSignerNotReceiver.selector, sender, receiver));
        channels.cooperativeClose(receiver, open_block, 4, proof, closing);
    }

    function test_RevertWhen_TheSignaturesAreSwapped() public {
        uint32 open_block = openChannel(10);
        bytes memory proof = balanceProof(open_block, 4);
        bytes memory closing = closingSignature(open_block, 4);
        vm.expectRevert();
        channels.cooperativeClose(receiver, open_block, 4, closing, proof);
    }

    function testFuzz_RevertWhen_TheSignaturesAreForDifferentBalances(uint192 a, uint192 b) public {
        (a, b) = (a % 10, b % 10);
        vm.assume(a != b);
        uint32 open_block = openChannel(10);
        bytes memory proof = balanceProof(open_block, a);
        bytes memory closing = closingSignature(open_block, b);
        vm.expectRevert();
        channels.cooperativeClose(receiver, open_block, a, proof, closing);
        vm.expectRevert();
        channels.cooperativeClose(receiver, open_block, b, proof, closing);
    }

    function test_RevertWhen_TheBalanceProofIsAnothers() public {
        uint32 open_block = openChannel(10);
        bytes memory proof = signed(STRANGER_KEY, balanceProofHash(receiver, open_block, 4, address(channels)));
        bytes memory closing = signed(RECEIVER_KEY, closingHash(stranger, open_block, 4, address(channels)));
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, stranger, receiver, open_block));
        channels.cooperativeClose(receiver, open_block, 4, proof, closing);
    }

    function expectRefusal(uint32 open_block, uint192 balance, bytes memory reason) private {
        bytes memory proof = balanceProof(open_block, balance);
        bytes memory closing = closingSignature(open_block, balance);
        vm.expectRevert(reason);
        channels.cooperativeClose(receiver, open_block, balance, proof, closing);
    }
}
