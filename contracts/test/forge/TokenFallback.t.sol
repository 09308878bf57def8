// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CustomToken} from "../../src/CustomToken.sol";
import {ERC20} from "../../src/Token.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Opening and topping up a channel the ERC223 way.
contract TokenFallbackTest is ChannelTest {
    function testFuzz_FortyBytesOpenAChannel(uint192 deposit) public {
        deposit %= LIMIT + 1;
        vm.expectEmit(address(token));
        emit ERC20.Transfer(sender, address(channels), deposit);
        vm.expectEmit(address(channels));
        emit ChannelCreated(sender, receiver, deposit);
        send(sender, deposit, toOpen());

        assertChannel(uint32(block.number), deposit, 0, 0, 0);
        assertTokens(SENDER_TOKENS - deposit, 0);
    }

    function testFuzz_FortyFourBytesTopUp(uint192 deposit, uint192 added) public {
        deposit %= LIMIT;
        added = 1 + added % (LIMIT - deposit);
        uint32 open_block = openChannel(deposit);

        vm.expectEmit(address(channels));
        emit ChannelToppedUp(sender, receiver, open_block, added);
        send(sender, added, toTopUp(open_block));

        assertChannel(open_block, deposit + added, 0, 0, 0);
        assertTokens(SENDER_TOKENS - deposit - added, 0);
    }

    function test_TheBlockNumberIsBigEndian() public {
        uint32 open_block = 0x01020304;
        vm.roll(open_block);
        openChannel(1);
        send(sender, 2, abi.encodePacked(sender, receiver, hex"01020304"));
        assertChannel(open_block, 3, 0, 0, 0);
    }

    function testFuzz_RevertWhen_TheCallerIsNotTheToken(address caller) public {
        vm.assume(caller != address(token));
        vm.expectRevert(abi.encodeWithSelector(NotToken.selector, caller));
        vm.prank(caller);
        channels.tokenFallback(sender, 1, toOpen());
    }

    function test_RevertWhen_TheCallerIsAnotherToken() public {
        CustomToken other = new CustomToken(100, "Other", "OTH", 18);
        vm.expectRevert(abi.encodeWithSelector(NotToken.selector, address(other)));
        other.transfer(address(channels), 1, toOpen());
    }

    function testFuzz_RevertWhen_TheDataIsOfAnotherLength(uint256 length) public {
        length %= 100;
        vm.assume(length != 40 && length != 44);
        bytes memory data = new bytes(length);
        vm.expectRevert(abi.encodeWithSelector(InvalidDataLength.selector, length));
        send(sender, 1, data);
    }

    function test_RevertWhen_TheDataIsOneByteShortOrLong() public {
        uint8[8] memory lengths = [0, 10, 20, 39, 41, 43, 45, 64];
        for (uint256 i = 0; i < lengths.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(InvalidDataLength.selector, lengths[i]));
            send(sender, 1, new bytes(lengths[i]));
        }
    }

    function test_RevertWhen_TheTokensComeFromSomebodyElse() public {
        vm.prank(sender);
        token.transfer(stranger, 5);
        vm.expectRevert(abi.encodeWithSelector(NotFromSender.selector, stranger, sender));
        send(stranger, 5, toOpen());

        uint32 open_block = openChannel(1);
        vm.expectRevert(abi.encodeWithSelector(NotFromSender.selector, stranger, sender));
        send(stranger, 5, toTopUp(open_block));
    }

    function testFuzz_RevertWhen_TheDepositIsAboveTheLimit(uint256 deposit) public {
        vm.assume(deposit > LIMIT);
        vm.startPrank(address(token));
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, deposit, LIMIT));
        channels.tokenFallback(sender, deposit, toOpen());
    }

    function test_RevertWhen_TheDepositWouldBeCutTo192Bits() public {
        uint256 deposit = (1 << 192) + 1;
        vm.startPrank(address(token));
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, deposit, LIMIT));
        channels.tokenFallback(sender, deposit, toOpen());
    }

    function test_RevertWhen_ATopUpPassesTheLimit() public {
        uint32 open_block = openChannel(LIMIT - 1);
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, LIMIT + 1, LIMIT));
        send(sender, 2, toTopUp(open_block));
        send(sender, 1, toTopUp(open_block));
        assertChannel(open_block, LIMIT, 0, 0, 0);
    }

    function test_RevertWhen_TheChannelExists() public {
        send(sender, 1, toOpen());
        vm.expectRevert(abi.encodeWithSelector(ChannelExists.selector, sender, receiver, block.number));
        send(sender, 1, toOpen());
    }

    function test_RevertWhen_ATopUpIsZero() public {
        uint32 open_block = openChannel(1);
        vm.expectRevert(abi.encodeWithSelector(ZeroTopUp.selector));
        send(sender, 0, toTopUp(open_block));
    }

    function testFuzz_RevertWhen_ThereIsNoSuchChannel(uint32 other_block) public {
        uint32 open_block = openChannel(1);
        vm.assume(other_block != open_block);
        vm.expectRevert(notFound(other_block));
        send(sender, 1, toTopUp(other_block));
    }

    function test_RevertWhen_TheChannelIsOfBlockZero() public {
        vm.expectRevert(notFound(0));
        send(sender, 1, toTopUp(0));
    }

    function test_RevertWhen_ToppedUpDuringTheChallenge() public {
        uint32 open_block = openChannel(1);
        uncooperativeClose(open_block, 0);
        vm.expectRevert(abi.encodeWithSelector(ChannelInChallenge.selector, block.number + CHALLENGE_PERIOD));
        send(sender, 1, toTopUp(open_block));
    }

    function toOpen() private view returns (bytes memory) {
        return abi.encodePacked(sender, receiver);
    }

    function toTopUp(uint32 open_block) private view returns (bytes memory) {
        return abi.encodePacked(sender, receiver, open_block);
    }

    function send(address from, uint256 amount, bytes memory data) private {
        vm.prank(from);
        token.transfer(address(channels), amount, data);
    }
}
