// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RaidenMicroTransferChannels} from "../../src/RaidenMicroTransferChannels.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {ReentrantToken} from "./MisbehavingTokens.sol";
import {vm} from "./Vm.sol";

/// @title A token that calls back into each function from each place where it is called.
contract ReentrancyTest is ChannelTest {
    ReentrantToken private reentrant;
    uint32 private victim;

    function setUp() public override {
        super.setUp();
        reentrant = new ReentrantToken();
        address[] memory trusted = new address[](1);
        trusted[0] = address(reentrant);
        channels = new RaidenMicroTransferChannels(address(reentrant), CHALLENGE_PERIOD, trusted);
        reentrant.mint(sender, SENDER_TOKENS);
        reentrant.mint(address(reentrant), SENDER_TOKENS);
        victim = openChannel(10);
        openChannel(LIMIT); // others' tokens are there
    }

    function test_NoFunctionIsReenteredFromCreateChannel() public {
        for (uint256 i = 0; i < attackCount(); i++) {
            nextBlock();
            arm(i);
            vm.prank(sender);
            channels.createChannel(receiver, 5);
            assertRefused(1);
            assertChannel(uint32(block.number), 5, 0, 0, 0);
        }
        assertChannel(victim, 10, 0, 0, 0);
    }

    function test_NoFunctionIsReenteredFromTopUp() public {
        uint192 deposit = 10;
        for (uint256 i = 0; i < attackCount(); i++) {
            arm(i);
            vm.prank(sender);
            channels.topUp(receiver, victim, 5);
            assertRefused(1);
            deposit += 5;
            assertChannel(victim, deposit, 0, 0, 0);
        }
    }

    function test_NoFunctionIsReenteredFromWithdraw() public {
        for (uint192 i = 0; i < attackCount(); i++) {
            arm(i);
            withdraw(victim, i + 1);
            assertRefused(1);
            assertChannel(victim, 10, 0, 0, i + 1);
            vm.assertEq(reentrant.balanceOf(receiver), i + 1);
        }
    }

    function test_NoFunctionIsReenteredFromCooperativeClose() public {
        for (uint256 i = 0; i < attackCount(); i++) {
            uint32 open_block = openChannel(10);
            uint256 holdings = reentrant.balanceOf(address(channels));
            arm(i);
            cooperativeClose(open_block, 4);
            assertRefused(2);
            assertForgotten(open_block);
            vm.assertEq(reentrant.balanceOf(address(channels)), holdings - 10);
        }
        assertChannel(victim, 10, 0, 0, 0);
    }

    function test_NoFunctionIsReenteredFromSettle() public {
        for (uint256 i = 0; i < attackCount(); i++) {
            uint32 open_block = openChannel(10);
            uncooperativeClose(open_block, 4);
            vm.roll(block.number + CHALLENGE_PERIOD + 1);
            uint256 holdings = reentrant.balanceOf(address(channels));
            arm(i);
            settle(open_block);
            assertRefused(2);
            assertForgotten(open_block);
            vm.assertEq(reentrant.balanceOf(address(channels)), holdings - 10);
        }
        assertChannel(victim, 10, 0, 0, 0);
    }

    function test_NoFunctionIsReenteredForADelegate() public {
        for (uint256 i = 0; i < attackCount(); i++) {
            nextBlock();
            arm(i);
            vm.prank(address(reentrant));
            channels.createChannelDelegate(sender, receiver, 5);
            assertRefused(1);
            vm.prank(address(reentrant));
            channels.topUpDelegate(sender, receiver, uint32(block.number), 5);
            assertRefused(2);
        }
        assertChannel(victim, 10, 0, 0, 0);
    }

    function test_TheLockIsOpenAgainAfterwardsAndAfterARevert() public {
        openChannel(1);
        vm.expectRevert(notFound(1));
        uncooperativeClose(1, 0);
        openChannel(1);
    }

    function test_ViewsAnswerDuringACall() public {
        arm(abi.encodeCall(channels.getChannelInfo, (sender, receiver, victim)));
        withdraw(victim, 3);
        vm.assertTrue(reentrant.succeeded());
        (, uint192 deposit,,, uint192 withdrawn) =
            abi.decode(reentrant.answer(), (bytes32, uint192, uint32, uint192, uint192));
        vm.assertEq(deposit, 10);
        vm.assertEq(withdrawn, 3, "what is paid is booked before");
    }

    /// @dev The calls that change a channel. The token is a trusted contract and the caller of all of them, so that
    /// those for delegates and from the token would work without the lock, and so would a close.
    function attacks() private view returns (bytes[] memory calls) {
        bytes memory proof = balanceProof(victim, 10);
        bytes memory closing = closingSignature(victim, 10);
        calls = new bytes[](9);
        calls[0] = abi.encodeCall(channels.createChannel, (receiver, 1));
        calls[1] = abi.encodeCall(channels.createChannelDelegate, (stranger, receiver, 1));
        calls[2] = abi.encodeCall(channels.tokenFallback, (stranger, 1, abi.encodePacked(stranger, receiver)));
        calls[3] = abi.encodeCall(channels.topUp, (receiver, victim, 1));
        calls[4] = abi.encodeCall(channels.topUpDelegate, (sender, receiver, victim, 1));
        calls[5] = abi.encodeCall(channels.withdraw, (victim, 10, proof));
        calls[6] = abi.encodeCall(channels.cooperativeClose, (receiver, victim, 10, proof, closing));
        calls[7] = abi.encodeCall(channels.uncooperativeClose, (receiver, victim, 0));
        calls[8] = abi.encodeCall(channels.settle, (receiver, victim));
    }

    function attackCount() private view returns (uint256) {
        return attacks().length;
    }

    function arm(uint256 number) private {
        arm(attacks()[number]);
    }

    function arm(bytes memory attack) private {
        reentrant.attackWith(address(channels), attack);
    }

    function assertRefused(uint256 attempts) private view {
        vm.assertEq(reentrant.attempts(), attempts, "attempts");
        vm.assertFalse(reentrant.succeeded(), "succeeded");
        vm.assertEq(reentrant.answer(), abi.encodeWithSelector(ReentrantCall.selector));
    }
}
