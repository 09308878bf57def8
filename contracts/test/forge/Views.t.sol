// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title What can be read: keys, channels through their whole life, and the mappings.
contract ViewsTest is ChannelTest {
    function testFuzz_TheKeyIsTheHashOfThe44PackedBytes(address from, address to, uint32 open_block) public view {
        bytes memory packed = abi.encodePacked(from, to, open_block);
        vm.assertEq(packed.length, 44);
        vm.assertEq(channels.getKey(from, to, open_block), keccak256(packed));
    }

    function testFuzz_RevertWhen_ThereIsNoSuchChannel(address from, address to, uint32 open_block) public {
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, from, to, open_block));
        channels.getChannelInfo(from, to, open_block);
    }

    function test_AChannelIsShownThroughItsWholeLife() public {
        uint32 open_block = openChannel(10);
        assertChannel(open_block, 10, 0, 0, 0);
        withdraw(open_block, 3);
        assertChannel(open_block, 10, 0, 0, 3);
        uncooperativeClose(open_block, 5);
        assertChannel(open_block, 10, uint32(block.number) + CHALLENGE_PERIOD, 5, 3);

        cooperativeClose(open_block, 6);
        vm.expectRevert(notFound(open_block));
        channels.getChannelInfo(sender, receiver, open_block);
    }

    function test_SenderAndReceiverAreNotInterchangeable() public {
        uint32 open_block = openChannel(10);
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, receiver, sender, open_block));
        channels.getChannelInfo(receiver, sender, open_block);
    }

    function test_TheMappingsShowAChannelByItsKey() public {
        uint32 open_block = openChannel(10);
        withdraw(open_block, 3);
        uncooperativeClose(open_block, 5);
        bytes32 key = keyOf(open_block);

        (uint192 deposit, uint32 stored_block) = channels.channels(key);
        vm.assertEq(deposit, 10);
        vm.assertEq(stored_block, open_block);
        (uint192 closing, uint32 settle_block) = channels.closing_requests(key);
        vm.assertEq(closing, 5);
        vm.assertEq(settle_block, block.number + CHALLENGE_PERIOD);
        vm.assertEq(channels.withdrawn_balances(key), 3);
        vm.assertFalse(channels.trusted_contracts(sender));
    }

    function testFuzz_TheMappingsAreZeroForWhatNeverWas(bytes32 key) public view {
        (uint192 deposit, uint32 open_block) = channels.channels(key);
        (uint192 closing, uint32 settle_block) = channels.closing_requests(key);
        vm.assertEq(uint256(deposit) + open_block + closing + settle_block + channels.withdrawn_balances(key), 0);
    }
}
