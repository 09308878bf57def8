// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RaidenMicroTransferChannels} from "../../src/RaidenMicroTransferChannels.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Closing without the receiver: the claim that starts the challenge period.
contract UncooperativeCloseTest is ChannelTest {
    function testFuzz_StartsTheChallengePeriod(uint192 deposit, uint192 balance) public {
        deposit %= LIMIT + 1;
        balance %= deposit + 1;
        uint32 open_block = openChannel(deposit);

        vm.expectEmit(address(channels));
        emit ChannelCloseRequested(sender, receiver, open_block, balance);
        uncooperativeClose(open_block, balance);

        uint32 settle_block = uint32(block.number) + CHALLENGE_PERIOD;
        assertChannel(open_block, deposit, settle_block, balance, 0);
        (uint192 closing, uint32 stored) = channels.closing_requests(keyOf(open_block));
        vm.assertEq(closing, balance);
        vm.assertEq(stored, settle_block);
        assertTokens(SENDER_TOKENS - deposit, 0);
    }

    function test_WorksInTheBlockThatOpenedTheChannel() public {
        uint32 open_block = uint32(block.number);
        vm.prank(sender);
        channels.createChannel(receiver, 0);
        uncooperativeClose(open_block, 0);
        assertChannel(open_block, 0, open_block + CHALLENGE_PERIOD, 0, 0);
    }

    function test_AClaimBelowWhatWasWithdrawnIsStoredAsMade() public {
        uint32 open_block = openChannel(10);
        withdraw(open_block, 7);
        uncooperativeClose(open_block, 2);
        assertChannel(open_block, 10, uint32(block.number) + CHALLENGE_PERIOD, 2, 7);
    }

    function test_RevertWhen_RequestedAlready() public {
        uint32 open_block = openChannel(10);
        uncooperativeClose(open_block, 2);
        uint256 settle_block = block.number + CHALLENGE_PERIOD;
        expectRefusal(open_block, 2, abi.encodeWithSelector(ChannelInChallenge.selector, settle_block));
        vm.roll(settle_block + 1);
        expectRefusal(open_block, 3, abi.encodeWithSelector(ChannelInChallenge.selector, settle_block));
        assertChannel(open_block, 10, uint32(settle_block), 2, 0);
    }

    function testFuzz_RevertWhen_TheBalanceIsAboveTheDeposit(uint192 deposit, uint192 balance) public {
        deposit %= LIMIT + 1;
        vm.assume(balance > deposit);
        uint32 open_block = openChannel(deposit);
        expectRefusal(open_block, balance, abi.encodeWithSelector(BalanceAboveDeposit.selector, balance, deposit));
    }

    function testFuzz_RevertWhen_ThereIsNoSuchChannel(uint32 other_block) public {
        uint32 open_block = openChannel(10);
        vm.assume(other_block != open_block);
        expectRefusal(other_block, 0, notFound(other_block));
    }

    function test_RevertWhen_TheChannelIsSettled() public {
        uint32 open_block = openChannel(10);
        cooperativeClose(open_block, 1);
        expectRefusal(open_block, 1, notFound(open_block));
    }

    function test_RevertWhen_TheCallerIsNotTheSender() public {
        uint32 open_block = openChannel(10);
        address[3] memory callers = [receiver, stranger, address(this)];
        for (uint256 i = 0; i < callers.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, callers[i], receiver, open_block));
            vm.prank(callers[i]);
            channels.uncooperativeClose(receiver, open_block, 0);
        }
    }

    function test_TheLastSettleBlockThatFitsIsNotCut() public {
        uint32 open_block = openChannel(10);
        vm.roll(type(uint32).max - CHALLENGE_PERIOD);
        uncooperativeClose(open_block, 2);
        assertChannel(open_block, 10, type(uint32).max, 2, 0);
        vm.roll(uint256(type(uint32).max) + 1);
        settle(open_block);
        assertTokens(SENDER_TOKENS - 2, 2);
    }

    function test_RevertWhen_TheSettleBlockDoesNotFit() public {
        uint32 open_block = openChannel(10);
        vm.roll(type(uint32).max - CHALLENGE_PERIOD + 1);
        uint256 settle_block = uint256(type(uint32).max) + 1;
        expectRefusal(open_block, 2, abi.encodeWithSelector(BlockNumberTooHigh.selector, settle_block));
    }

    function test_RevertWhen_TheChallengePeriodAloneIsTheHighest() public {
        channels = new RaidenMicroTransferChannels(address(token), type(uint32).max, new address[](0));
        uint32 open_block = openChannel(10);
        uint256 settle_block = block.number + type(uint32).max;
        expectRefusal(open_block, 2, abi.encodeWithSelector(BlockNumberTooHigh.selector, settle_block));
        cooperativeClose(open_block, 2);
        assertTokens(SENDER_TOKENS - 2, 2);
    }

    function expectRefusal(uint32 open_block, uint192 balance, bytes memory reason) private {
        vm.expectRevert(reason);
        uncooperativeClose(open_block, balance);
    }
}
