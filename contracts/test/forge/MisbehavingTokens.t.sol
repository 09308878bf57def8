// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RaidenMicroTransferChannels} from "../../src/RaidenMicroTransferChannels.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {
    AnsweringToken,
    BrokenToken,
    FeeToken,
    HookToken,
    LooseToken,
    LyingToken,
    RebasingToken,
    RefusingToken
} from "./MisbehavingTokens.sol";
import {vm} from "./Vm.sol";

/// @title What the contract does when the token does not do what it should; see the assumptions in its documentation.
contract MisbehavingTokensTest is ChannelTest {
    // Fee on transfer

    function test_RevertWhen_ADepositArrivesLessAFee() public {
        FeeToken fee = new FeeToken();
        use(fee);
        fee.charge(FeeToken.Fee.Inside);
        expectRefusedDeposit(10, abi.encodeWithSelector(TokenCreditedOther.selector, 10, 0, 9));
    }

    function test_AFeeIntroducedLaterIsBorneByTheRecipients() public {
        FeeToken fee = new FeeToken();
        use(fee);
        uint32 open_block = openChannel(100);
        fee.charge(FeeToken.Fee.Inside);
        withdraw(open_block, 20);
        cooperativeClose(open_block, 40);
        assertHoldings(fee, SENDER_TOKENS - 100 + 54, 36, 0);
    }

    function test_RevertWhen_APaymentTakesAFeeFromTheDepositsOfOthers() public {
        FeeToken fee = new FeeToken();
        use(fee);
        uint32 open_block = openChannel(100);
        openChannel(100); // others' tokens are there
        fee.charge(FeeToken.Fee.OnTop);
        expectRefusedWithdrawal(open_block, 20, abi.encodeWithSelector(TokenDebitedMore.selector, 20, 200, 178));
        expectRefusedClose(open_block, 40, abi.encodeWithSelector(TokenDebitedMore.selector, 100, 200, 90));
        assertHoldings(fee, SENDER_TOKENS - 200, 0, 200);
    }

    function test_AFeeOnTopThatTheDepositorPaysIsNoConcern() public {
        FeeToken fee = new FeeToken();
        use(fee);
        fee.charge(FeeToken.Fee.OnTop);
        openChannel(100);
        assertHoldings(fee, SENDER_TOKENS - 110, 0, 100);
    }

    // Silent, false, and other answers

    function test_ATokenThatReturnsNothingIsBelieved() public {
        AnsweringToken silent = new AnsweringToken();
        use(silent);
        silent.answerWith("", true);
        uint32 open_block = openChannel(100);
        withdraw(open_block, 20);
        cooperativeClose(open_block, 40);
        assertHoldings(silent, SENDER_TOKENS - 40, 40, 0);
    }

    function test_RevertWhen_ATokenReturnsFalse() public {
        AnsweringToken answering = new AnsweringToken();
        use(answering);
        uint32 open_block = openChannel(100);
        answering.answerWith(abi.encode(false), false);
        expectEverythingRefused(open_block, abi.encodeWithSelector(TokenReturnedFalse.selector));
    }

    function test_RevertWhen_ATokenReturnsFalseThoughItMoved() public {
        AnsweringToken answering = new AnsweringToken();
        use(answering);
        uint32 open_block = openChannel(100);
        answering.answerWith(abi.encode(false), true);
        expectEverythingRefused(open_block, abi.encodeWithSelector(TokenReturnedFalse.selector));
    }

    function test_RevertWhen_ATokenReturnsNoBoolean() public {
        AnsweringToken answering = new AnsweringToken();
        use(answering);
        uint32 open_block = openChannel(100);
        answering.answerWith(abi.encode(2), true);
        expectEverythingRefused(open_block, "");
        answering.answerWith(hex"01", true);
        expectEverythingRefused(open_block, "");
    }

    function test_RevertWhen_ADepositThatIsConfirmedDoesNotCome() public {
        AnsweringToken answering = new AnsweringToken();
        use(answering);
        answering.answerWith(abi.encode(true), false);
        expectRefusedDeposit(10, abi.encodeWithSelector(TokenCreditedOther.selector, 10, 0, 0));
        answering.answerWith("", false);
        expectRefusedDeposit(10, abi.encodeWithSelector(TokenCreditedOther.selector, 10, 0, 0));
    }

    function test_APaymentThatIsConfirmedIsBelieved() public {
        AnsweringToken answering = new AnsweringToken();
        use(answering);
        uint32 open_block = openChannel(100);
        answering.answerWith(abi.encode(true), false);
        cooperativeClose(open_block, 40);
        assertForgotten(open_block);
        assertHoldings(answering, SENDER_TOKENS - 100, 0, 100);
    }

    // Reverting, pausing, blacklisting, gone

    function test_RevertWhen_TheTokenRevertsWithoutAReason() public {
        use(new BrokenToken());
        expectRefusedDeposit(10, abi.encodeWithSelector(TokenCallFailed.selector, ""));
        uint32 open_block = openChannel(0);
        assertChannel(open_block, 0, 0, 0, 0);
    }

    function test_RevertWhen_TheTokenIsPausedUntilItGoesOn() public {
        RefusingToken refusing = new RefusingToken();
        use(refusing);
        uint32 open_block = openChannel(100);
        refusing.pause(true);
        bytes memory reason = abi.encodeWithSelector(RefusingToken.Paused.selector);
        expectEverythingRefused(open_block, abi.encodeWithSelector(TokenCallFailed.selector, reason));

        refusing.pause(false);
        cooperativeClose(open_block, 40);
        assertHoldings(refusing, SENDER_TOKENS - 40, 40, 0);
    }

    function test_AChallengePeriodRunsOnWhileTheTokenIsPaused() public {
        RefusingToken refusing = new RefusingToken();
        use(refusing);
        uint32 open_block = openChannel(100);
        refusing.pause(true);
        uncooperativeClose(open_block, 10);
        uint32 settle_block = uint32(block.number) + CHALLENGE_PERIOD;
        assertChannel(open_block, 100, settle_block, 10, 0);
        vm.roll(settle_block + 1);
        refusing.pause(false);
        settle(open_block);
        assertHoldings(refusing, SENDER_TOKENS - 10, 10, 0);
    }

    function test_RevertWhen_TheTokenRefusesOnePartyTheOthersShareIncluded() public {
        RefusingToken refusing = new RefusingToken();
        use(refusing);
        uint32 open_block = openChannel(100);
        address[2] memory parties = [receiver, sender];
        for (uint256 i = 0; i < 2; i++) {
            refusing.list(parties[i], true);
            bytes memory reason = abi.encodeWithSelector(RefusingToken.Listed.selector, parties[i]);
            expectRefusedClose(open_block, 40, abi.encodeWithSelector(TokenCallFailed.selector, reason));
            refusing.list(parties[i], false);
        }
        assertChannel(open_block, 100, 0, 0, 0);
        cooperativeClose(open_block, 40);
        assertHoldings(refusing, SENDER_TOKENS - 40, 40, 0);
    }

    function test_ACloseAtZeroGetsTheDepositBackThoughTheReceiverIsRefused() public {
        RefusingToken refusing = new RefusingToken();
        use(refusing);
        uint32 open_block = openChannel(100);
        refusing.list(receiver, true);
        uncooperativeClose(open_block, 0);
        vm.roll(block.number + CHALLENGE_PERIOD + 1);
        settle(open_block);
        assertHoldings(refusing, SENDER_TOKENS, 0, 0);
    }

    function test_RevertWhen_TheTokenIsGone() public {
        LooseToken gone = new LooseToken();
        use(gone);
        uint32 open_block = openChannel(100);
        vm.etch(address(gone), "");
        expectEverythingRefused(open_block, "");
    }

    // Rebasing and lying

    function test_AGainStaysAndALossIsTheLastOnes() public {
        RebasingToken rebasing = new RebasingToken();
        use(rebasing);
        uint32 first = openChannel(100);
        uint32 second = openChannel(100);
        uint32 third = openChannel(100);

        rebasing.rebase(address(channels), 310);
        cooperativeClose(first, 100);
        assertHoldings(rebasing, SENDER_TOKENS - 300, 100, 210);

        rebasing.rebase(address(channels), 150);
        cooperativeClose(second, 100);
        bytes memory underflow = abi.encodeWithSignature("Panic(uint256)", 0x11);
        expectRefusedClose(third, 100, abi.encodeWithSelector(TokenCallFailed.selector, underflow));
        assertHoldings(rebasing, SENDER_TOKENS - 300, 200, 50);
    }

    function testFuzz_RevertWhen_ALieAboutHoldingsHidesTheDeposit(uint256 told, uint192 deposit) public {
        deposit = 1 + deposit % LIMIT;
        told %= type(uint192).max;
        LyingToken lying = new LyingToken();
        use(lying);
        lying.lie(told);
        expectRefusedDeposit(deposit, abi.encodeWithSelector(TokenCreditedOther.selector, deposit, told, told));
    }

    function test_ALieAboutHoldingsChangesNoPayment() public {
        LyingToken lying = new LyingToken();
        use(lying);
        uint32 open_block = openChannel(100);
        lying.lie(type(uint256).max - 100);
        withdraw(open_block, 20);
        cooperativeClose(open_block, 40);
        lying.lie(0);
        assertForgotten(open_block);
        vm.assertEq(channels.withdrawn_balances(keyOf(open_block)), 20);
    }

    // Hooks

    function test_RevertWhen_TheTokenCallsTokenFallbackFromTransferFrom() public {
        use(new HookToken());
        bytes memory reason = abi.encodeWithSelector(ReentrantCall.selector);
        expectRefusedDeposit(10, abi.encodeWithSelector(TokenCallFailed.selector, reason));
    }

    function test_ATokenThatTellsOnTransferOpensChannelsByItself() public {
        HookToken hook = new HookToken();
        use(hook);
        vm.prank(sender);
        hook.transfer(address(channels), 10);
        (, uint192 deposit,,,) = channels.getChannelInfo(sender, address(channels), uint32(block.number));
        vm.assertEq(deposit, 10);
    }

    /// @dev From now on the channels are of this token, of which the sender has some.
    function use(LooseToken loose) private {
        channels = new RaidenMicroTransferChannels(address(loose), CHALLENGE_PERIOD, new address[](0));
        loose.mint(sender, SENDER_TOKENS);
    }

    function assertHoldings(LooseToken loose, uint256 of_sender, uint256 of_receiver, uint256 of_contract)
        private
        view
    {
        vm.assertEq(loose.balanceOf(sender), of_sender, "tokens of the sender");
        vm.assertEq(loose.balanceOf(receiver), of_receiver, "tokens of the receiver");
        vm.assertEq(loose.balanceOf(address(channels)), of_contract, "tokens of the contract");
    }

    /// @dev Each call that moves tokens reverts, and the channel of 100 stays as it is.
    function expectEverythingRefused(uint32 open_block, bytes memory reason) private {
        expectRefusedDeposit(10, reason);
        vm.expectRevert(reason);
        vm.prank(sender);
        channels.topUp(receiver, open_block, 10);
        expectRefusedWithdrawal(open_block, 20, reason);
        expectRefusedClose(open_block, 40, reason);
        assertChannel(open_block, 100, 0, 0, 0);
    }

    function expectRefusedDeposit(uint192 deposit, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(sender);
        channels.createChannel(receiver, deposit);
    }

    function expectRefusedWithdrawal(uint32 open_block, uint192 balance, bytes memory reason) private {
        bytes memory proof = balanceProof(open_block, balance);
        vm.expectRevert(reason);
        vm.prank(receiver);
        channels.withdraw(open_block, balance, proof);
    }

    function expectRefusedClose(uint32 open_block, uint192 balance, bytes memory reason) private {
        bytes memory proof = balanceProof(open_block, balance);
        bytes memory closing = closingSignature(open_block, balance);
        vm.expectRevert(reason);
        channels.cooperativeClose(receiver, open_block, balance, proof, closing);
    }
}
