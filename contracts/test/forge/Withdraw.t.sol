// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../src/Token.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Withdrawing by a balance proof while the channel stays open.
contract WithdrawTest is ChannelTest {
    function testFuzz_PaysWhatTheProofSaysLessWhatWasWithdrawn(uint192 deposit, uint192 first, uint192 second) public {
        deposit = 2 + deposit % (LIMIT - 1);
        first = 1 + first % (deposit - 1);
        second = first + 1 + second % (deposit - first);
        uint32 open_block = openChannel(deposit);

        expectWithdraw(open_block, first);
        withdraw(open_block, first);
        assertChannel(open_block, deposit, 0, 0, first);
        assertTokens(SENDER_TOKENS - deposit, first);

        expectWithdraw(open_block, second - first);
        withdraw(open_block, second);
        assertChannel(open_block, deposit, 0, 0, second);
        assertTokens(SENDER_TOKENS - deposit, second);
        vm.assertEq(channels.withdrawn_balances(keyOf(open_block)), second);
    }

    function test_WorksInTheBlockThatOpenedTheChannel() public {
        approve(3);
        vm.prank(sender);
        channels.createChannel(receiver, 3);
        withdraw(uint32(block.number), 3);
        assertTokens(SENDER_TOKENS - 3, 3);
    }

    function test_AfterATopUpTheReceiverCanGetMore() public {
        uint32 open_block = openChannel(5);
        withdraw(open_block, 5);
        approve(2);
        vm.prank(sender);
        channels.topUp(receiver, open_block, 2);
        withdraw(open_block, 7);
        assertTokens(SENDER_TOKENS - 7, 7);
    }

    function test_ChannelsOfTheSamePairAreApart() public {
        uint32 first = openChannel(5);
        uint32 second = openChannel(5);
        withdraw(first, 4);
        withdraw(second, 3);
        assertChannel(first, 5, 0, 0, 4);
        assertChannel(second, 5, 0, 0, 3);
    }

    function test_RevertWhen_TheBalanceWasWithdrawnAlready() public {
        uint32 open_block = openChannel(5);
        withdraw(open_block, 3);
        expectRefusal(open_block, 3, abi.encodeWithSelector(NothingToWithdraw.selector, 3, 3));
        expectRefusal(open_block, 2, abi.encodeWithSelector(NothingToWithdraw.selector, 2, 3));
    }

    function test_RevertWhen_TheBalanceIsZero() public {
        uint32 open_block = openChannel(5);
        expectRefusal(open_block, 0, abi.encodeWithSelector(NothingToWithdraw.selector, 0, 0));
    }

    function testFuzz_RevertWhen_TheBalanceIsAboveTheDeposit(uint192 deposit, uint192 balance) public {
        deposit %= LIMIT + 1;
        vm.assume(balance > deposit);
        uint32 open_block = openChannel(deposit);
        openChannel(LIMIT); // others' tokens are there
        expectRefusal(open_block, balance, abi.encodeWithSelector(BalanceAboveDeposit.selector, balance, deposit));
    }

    function test_RevertWhen_InChallenge() public {
        uint32 open_block = openChannel(5);
        uncooperativeClose(open_block, 5);
        uint256 settle_block = block.number + CHALLENGE_PERIOD;
        expectRefusal(open_block, 5, abi.encodeWithSelector(ChannelInChallenge.selector, settle_block));
        vm.roll(settle_block + 1);
        expectRefusal(open_block, 5, abi.encodeWithSelector(ChannelInChallenge.selector, settle_block));
    }

    function test_RevertWhen_TheChannelIsSettled() public {
        uint32 open_block = openChannel(5);
        cooperativeClose(open_block, 1);
        expectRefusal(open_block, 5, notFound(open_block));
    }

    function test_RevertWhen_TheProofIsForAnotherReceiver() public {
        uint32 open_block = openChannel(5);
        bytes memory proof = balanceProof(open_block, 5);
        address other = channels.extractBalanceProofSignature(stranger, open_block, 5, proof);
        vm.assertTrue(other != sender);
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, other, stranger, open_block));
        vm.prank(stranger);
        channels.withdraw(open_block, 5, proof);
    }

    function test_RevertWhen_TheProofIsSignedByAnother() public {
        uint32 open_block = openChannel(5);
        bytes memory proof = signed(STRANGER_KEY, balanceProofHash(receiver, open_block, 5, address(channels)));
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, stranger, receiver, open_block));
        vm.prank(receiver);
        channels.withdraw(open_block, 5, proof);
    }

    function testFuzz_RevertWhen_TheProofIsForAnotherBalance(uint192 balance) public {
        vm.assume(balance != 3);
        uint32 open_block = openChannel(LIMIT);
        bytes memory proof = balanceProof(open_block, 3);
        address other = channels.extractBalanceProofSignature(receiver, open_block, balance, proof);
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, other, receiver, open_block));
        vm.prank(receiver);
        channels.withdraw(open_block, balance, proof);
    }

    function test_RevertWhen_TheProofIsForAnotherContract() public {
        uint32 open_block = openChannel(5);
        bytes memory proof = signed(SENDER_KEY, balanceProofHash(receiver, open_block, 5, address(token)));
        address other = channels.extractBalanceProofSignature(receiver, open_block, 5, proof);
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, other, receiver, open_block));
        vm.prank(receiver);
        channels.withdraw(open_block, 5, proof);
    }

    function expectWithdraw(uint32 open_block, uint192 amount) private {
        vm.expectEmit(address(channels));
        emit ChannelWithdraw(sender, receiver, open_block, amount);
        vm.expectEmit(address(token));
        emit ERC20.Transfer(address(channels), receiver, amount);
    }

    function expectRefusal(uint32 open_block, uint192 balance, bytes memory reason) private {
        bytes memory proof = balanceProof(open_block, balance);
        vm.expectRevert(reason);
        vm.prank(receiver);
        channels.withdraw(open_block, balance, proof);
    }
}
