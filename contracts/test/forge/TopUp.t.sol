// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StandardToken} from "../../src/StandardToken.sol";
import {ERC20} from "../../src/Token.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Topping up a channel the ERC20 way.
contract TopUpTest is ChannelTest {
    function testFuzz_AddsToTheDeposit(uint192 deposit, uint192 added) public {
        deposit %= LIMIT;
        added = 1 + added % (LIMIT - deposit);
        uint32 open_block = openChannel(deposit);
        approve(added);

        vm.expectEmit(address(channels));
        emit ChannelToppedUp(sender, receiver, open_block, added);
        vm.expectEmit(address(token));
        emit ERC20.Transfer(sender, address(channels), added);
        topUp(open_block, added);

        assertChannel(open_block, deposit + added, 0, 0, 0);
        assertTokens(SENDER_TOKENS - deposit - added, 0);
    }

    function test_ChangesNeitherTheOpenBlockNorWhatWasWithdrawn() public {
        uint32 open_block = openChannel(5);
        withdraw(open_block, 3);
        approve(4);
        topUp(open_block, 4);
        assertChannel(open_block, 9, 0, 0, 3);
        (, uint32 stored) = channels.channels(keyOf(open_block));
        vm.assertEq(stored, open_block);
    }

    function test_WorksInTheBlockThatOpenedTheChannel() public {
        approve(3);
        vm.startPrank(sender);
        channels.createChannel(receiver, 1);
        channels.topUp(receiver, uint32(block.number), 2);
        vm.stopPrank();
        assertChannel(uint32(block.number), 3, 0, 0, 0);
    }

    function test_RevertWhen_NothingIsAdded() public {
        uint32 open_block = openChannel(1);
        vm.expectRevert(abi.encodeWithSelector(ZeroTopUp.selector));
        topUp(open_block, 0);
    }

    function testFuzz_RevertWhen_TheSumPassesTheLimit(uint192 deposit, uint192 added) public {
        deposit %= LIMIT + 1;
        vm.assume(added > LIMIT - deposit);
        uint32 open_block = openChannel(deposit);
        vm.expectRevert(
            abi.encodeWithSelector(DepositAboveLimit.selector, uint256(deposit) + added, LIMIT)
        );
        topUp(open_block, added);
    }

    function test_RevertWhen_TheSumPassesTheLimitThoughMuchWasWithdrawn() public {
        uint32 open_block = openChannel(LIMIT);
        withdraw(open_block, LIMIT);
        approve(1);
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, LIMIT + 1, LIMIT));
        topUp(open_block, 1);
    }

    function testFuzz_RevertWhen_ThereIsNoSuchChannel(uint32 other_block) public {
        uint32 open_block = openChannel(1);
        vm.assume(other_block != open_block);
        vm.expectRevert(notFound(other_block));
        topUp(other_block, 1);
    }

    function test_RevertWhen_TheChannelIsOfBlockZero() public {
        vm.expectRevert(notFound(0));
        topUp(0, 1);
    }

    function test_RevertWhen_TheChannelIsSomebodyElses() public {
        uint32 open_block = openChannel(1);
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, stranger, receiver, open_block));
        vm.prank(stranger);
        channels.topUp(receiver, open_block, 1);
    }

    function test_RevertWhen_TheChannelIsSettled() public {
        uint32 open_block = openChannel(1);
        cooperativeClose(open_block, 0);
        vm.expectRevert(notFound(open_block));
        topUp(open_block, 1);
    }

    function test_RevertWhen_InChallenge() public {
        uint32 open_block = openChannel(1);
        uncooperativeClose(open_block, 1);
        uint256 settle_block = block.number + CHALLENGE_PERIOD;
        approve(1);
        vm.expectRevert(abi.encodeWithSelector(ChannelInChallenge.selector, settle_block));
        topUp(open_block, 1);

        vm.roll(settle_block + 1);
        vm.expectRevert(abi.encodeWithSelector(ChannelInChallenge.selector, settle_block));
        topUp(open_block, 1);
    }

    function test_RevertWhen_AllowanceIsTooLow() public {
        uint32 open_block = openChannel(1);
        bytes memory reason =
            abi.encodeWithSelector(StandardToken.AllowanceTooLow.selector, address(channels), 0, 2);
        vm.expectRevert(abi.encodeWithSelector(TokenCallFailed.selector, reason));
        topUp(open_block, 2);
    }

    function topUp(uint32 open_block, uint192 added) private {
        vm.prank(sender);
        channels.topUp(receiver, open_block, added);
    }
}
