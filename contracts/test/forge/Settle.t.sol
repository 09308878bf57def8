// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../src/Token.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Settling after the challenge period.
contract SettleTest is ChannelTest {
    function testFuzz_PaysByTheClaim(uint192 deposit, uint192 balance, uint32 later) public {
        deposit %= LIMIT + 1;
        balance %= deposit + 1;
        uint32 open_block = openChannel(deposit);
        closeAndWait(open_block, balance);
        vm.roll(block.number + later);

        vm.expectEmit(address(channels));
        emit ChannelSettled(sender, receiver, open_block, balance, balance);
        settle(open_block);

        assertForgotten(open_block);
        assertTokens(SENDER_TOKENS - balance, balance);
    }

    function testFuzz_PaysAtLeastWhatWasWithdrawn(uint192 deposit, uint192 withdrawn, uint192 claim) public {
        deposit = 1 + deposit % LIMIT;
        withdrawn = 1 + withdrawn % deposit;
        claim %= deposit + 1;
        uint192 balance = claim > withdrawn ? claim : withdrawn;
        uint32 open_block = openChannel(deposit);
        withdraw(open_block, withdrawn);
        closeAndWait(open_block, claim);

        vm.expectEmit(address(channels));
        emit ChannelSettled(sender, receiver, open_block, balance, balance - withdrawn);
        settle(open_block);

        assertForgotten(open_block);
        assertTokens(SENDER_TOKENS - balance, balance);
        vm.assertEq(channels.withdrawn_balances(keyOf(open_block)), withdrawn);
    }

    function test_AClaimBelowWhatWasWithdrawnLocksNothing() public {
        uint32 open_block = openChannel(10);
        withdraw(open_block, 7);
        closeAndWait(open_block, 0);
        settle(open_block);
        assertTokens(SENDER_TOKENS - 7, 7);
    }

    function test_PaymentsOfZeroAreNotSent() public {
        uint32 open_block = openChannel(10);
        withdraw(open_block, 10);
        closeAndWait(open_block, 10);
        vm.expectCall(address(token), abi.encodeWithSelector(ERC20.transfer.selector), 0);
        settle(open_block);
        assertForgotten(open_block);
    }

    function test_TheFirstBlockAfterThePeriodIsTheFirstThatWorks() public {
        uint32 open_block = openChannel(10);
        uncooperativeClose(open_block, 4);
        uint256 settle_block = block.number + CHALLENGE_PERIOD;
        vm.roll(settle_block + 1);
        settle(open_block);
        assertTokens(SENDER_TOKENS - 4, 4);
    }

    function test_RevertWhen_InTheLastBlockOfThePeriod() public {
        uint32 open_block = openChannel(10);
        uncooperativeClose(open_block, 4);
        uint256 settle_block = block.number + CHALLENGE_PERIOD;
        vm.roll(settle_block);
        expectRefusal(open_block, abi.encodeWithSelector(ChallengeNotOver.selector, settle_block, settle_block));
    }

    function testFuzz_RevertWhen_ThePeriodIsNotOver(uint256 elapsed) public {
        elapsed %= CHALLENGE_PERIOD + 1;
        uint32 open_block = openChannel(10);
        uncooperativeClose(open_block, 4);
        uint256 settle_block = block.number + CHALLENGE_PERIOD;
        vm.roll(block.number + elapsed);
        expectRefusal(open_block, abi.encodeWithSelector(ChallengeNotOver.selector, settle_block, block.number));
    }

    function test_RevertWhen_NoCloseWasRequested() public {
        uint32 open_block = openChannel(10);
        vm.roll(block.number + 10 * CHALLENGE_PERIOD);
        expectRefusal(open_block, abi.encodeWithSelector(ChannelNotInChallenge.selector));
    }

    function test_RevertWhen_SettledAlready() public {
        uint32 open_block = openChannel(10);
        openChannel(10); // others' tokens are there
        closeAndWait(open_block, 4);
        settle(open_block);
        expectRefusal(open_block, abi.encodeWithSelector(ChannelNotInChallenge.selector));
    }

    function test_RevertWhen_ClosedByBothInTheMeantime() public {
        uint32 open_block = openChannel(10);
        openChannel(10); // others' tokens are there
        closeAndWait(open_block, 0);
        cooperativeClose(open_block, 7);
        expectRefusal(open_block, abi.encodeWithSelector(ChannelNotInChallenge.selector));
        assertTokens(SENDER_TOKENS - 17, 7);
    }

    function test_RevertWhen_TheCallerIsNotTheSender() public {
        uint32 open_block = openChannel(10);
        closeAndWait(open_block, 4);
        address[3] memory callers = [receiver, stranger, address(this)];
        for (uint256 i = 0; i < callers.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(ChannelNotInChallenge.selector));
            vm.prank(callers[i]);
            channels.settle(receiver, open_block);
        }
    }

    function test_AfterSettlementOldProofsAreWorthNothingInANewChannel() public {
        uint32 first = openChannel(10);
        bytes memory old_proof = balanceProof(first, 9);
        closeAndWait(first, 4);
        settle(first);
        uint32 second = openChannel(10);

        vm.startPrank(receiver);
        vm.expectRevert(notFound(first));
        channels.withdraw(first, 9, old_proof);
        address other = channels.extractBalanceProofSignature(receiver, second, 9, old_proof);
        vm.expectRevert(abi.encodeWithSelector(ChannelNotFound.selector, other, receiver, second));
        channels.withdraw(second, 9, old_proof);
        vm.stopPrank();
        assertChannel(second, 10, 0, 0, 0);
    }

    function closeAndWait(uint32 open_block, uint192 balance) private {
        uncooperativeClose(open_block, balance);
        vm.roll(block.number + CHALLENGE_PERIOD + 1);
    }

    function expectRefusal(uint32 open_block, bytes memory reason) private {
        vm.expectRevert(reason);
        settle(open_block);
    }
}
