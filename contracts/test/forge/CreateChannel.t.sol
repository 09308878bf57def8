// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {StandardToken} from "../../src/StandardToken.sol";
import {ERC20} from "../../src/Token.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Opening a channel the ERC20 way.
contract CreateChannelTest is ChannelTest {
    function testFuzz_TakesTheDepositAndNamesTheChannelByItsBlock(uint192 deposit, uint32 block_number) public {
        deposit %= LIMIT + 1;
        vm.assume(block_number > 0);
        vm.roll(block_number);
        approve(deposit);

        vm.expectEmit(address(channels));
        emit ChannelCreated(sender, receiver, deposit);
        vm.prank(sender);
        channels.createChannel(receiver, deposit);

        assertChannel(block_number, deposit, 0, 0, 0);
        assertTokens(SENDER_TOKENS - deposit, 0);
        vm.assertEq(token.allowance(sender, address(channels)), 0);
    }

    function test_TheChannelsEventComesBeforeTheTokens() public {
        approve(7);
        vm.expectEmit(address(channels));
        emit ChannelCreated(sender, receiver, 7);
        vm.expectEmit(address(token));
        emit ERC20.Transfer(sender, address(channels), 7);
        vm.prank(sender);
        channels.createChannel(receiver, 7);
    }

    function test_AZeroDepositOpensAChannelWithoutAskingTheToken() public {
        vm.expectCall(address(token), abi.encodeWithSelector(ERC20.transferFrom.selector), 0);
        vm.expectCall(address(token), abi.encodeWithSelector(ERC20.balanceOf.selector), 0);
        vm.prank(sender);
        channels.createChannel(receiver, 0);
        assertChannel(uint32(block.number), 0, 0, 0, 0);
    }

    function test_TheLimitItselfIsAllowed() public {
        uint32 open_block = openChannel(LIMIT);
        assertChannel(open_block, LIMIT, 0, 0, 0);
    }

    function test_TheSamePairHasAnotherChannelInTheNextBlock() public {
        uint32 first = openChannel(3);
        uint32 second = openChannel(4);
        vm.assertEq(second, first + 1);
        assertChannel(first, 3, 0, 0, 0);
        assertChannel(second, 4, 0, 0, 0);
        assertTokens(SENDER_TOKENS - 7, 0);
    }

    function test_OneBlockHasChannelsOfOtherPairs() public {
        approve(3);
        vm.startPrank(sender);
        channels.createChannel(receiver, 1);
        channels.createChannel(stranger, 1);
        channels.createChannel(sender, 1);
        vm.stopPrank();
        vm.prank(receiver);
        channels.createChannel(sender, 0);

        (bytes32 key, uint192 deposit,,,) = channels.getChannelInfo(sender, sender, uint32(block.number));
        vm.assertEq(deposit, 1);
        vm.assertEq(key, keccak256(abi.encodePacked(sender, sender, uint32(block.number))));
        (, deposit,,,) = channels.getChannelInfo(receiver, sender, uint32(block.number));
        vm.assertEq(deposit, 0);
    }

    function test_RevertWhen_ThePairOpenedAChannelInThisBlock() public {
        approve(3);
        vm.startPrank(sender);
        channels.createChannel(receiver, 1);
        vm.expectRevert(abi.encodeWithSelector(ChannelExists.selector, sender, receiver, block.number));
        channels.createChannel(receiver, 1);
    }

    function test_RevertWhen_ThePairOpenedAChannelOfZeroInThisBlock() public {
        vm.startPrank(sender);
        channels.createChannel(receiver, 0);
        vm.expectRevert(abi.encodeWithSelector(ChannelExists.selector, sender, receiver, block.number));
        channels.createChannel(receiver, 0);
    }

    function testFuzz_RevertWhen_DepositIsAboveTheLimit(uint192 deposit) public {
        vm.assume(deposit > LIMIT);
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, deposit, LIMIT));
        vm.prank(sender);
        channels.createChannel(receiver, deposit);
    }

    function test_RevertWhen_DepositIsOneAboveTheLimit() public {
        approve(LIMIT + 1);
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, LIMIT + 1, LIMIT));
        vm.prank(sender);
        channels.createChannel(receiver, LIMIT + 1);
    }

    function test_RevertWhen_AllowanceIsTooLow() public {
        approve(6);
        bytes memory reason =
            abi.encodeWithSelector(StandardToken.AllowanceTooLow.selector, address(channels), 6, 7);
        vm.expectRevert(abi.encodeWithSelector(TokenCallFailed.selector, reason));
        vm.prank(sender);
        channels.createChannel(receiver, 7);
    }

    function test_RevertWhen_TheSenderHasTooFewTokens() public {
        vm.startPrank(stranger);
        token.approve(address(channels), 7);
        bytes memory reason = abi.encodeWithSelector(StandardToken.BalanceTooLow.selector, stranger, 0, 7);
        vm.expectRevert(abi.encodeWithSelector(TokenCallFailed.selector, reason));
        channels.createChannel(receiver, 7);
    }

    function test_TheHighestBlockNumberThatFitsIsNotCut() public {
        vm.roll(type(uint32).max);
        vm.prank(sender);
        channels.createChannel(receiver, 0);
        assertChannel(type(uint32).max, 0, 0, 0, 0);
    }

    function test_RevertWhen_TheBlockNumberDoesNotFit() public {
        uint256 too_high = uint256(type(uint32).max) + 1;
        vm.roll(too_high);
        vm.expectRevert(abi.encodeWithSelector(BlockNumberTooHigh.selector, too_high));
        vm.prank(sender);
        channels.createChannel(receiver, 0);
    }
}
