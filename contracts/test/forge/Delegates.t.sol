// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Delegate} from "../../src/Delegate.sol";
import {StandardToken} from "../../src/StandardToken.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Trusted contracts that open and top up channels for others, with their own tokens.
contract DelegatesTest is ChannelTest {
    uint256 private constant DELEGATE_TOKENS = 500 ether;

    Delegate private delegate;

    function setUp() public override {
        super.setUp();
        delegate = new Delegate();
        delegate.setup(address(token), address(channels));
        token.transfer(address(delegate), DELEGATE_TOKENS);
        setTrusted(true);
    }

    function testFuzz_OpensAndTopsUpTheERC20Way(uint192 deposit, uint192 added) public {
        (deposit, added) = split(deposit, added);
        uint32 open_block = uint32(block.number);

        vm.expectEmit(address(channels));
        emit ChannelCreated(sender, receiver, deposit);
        delegate.createChannelERC20(sender, receiver, deposit);
        vm.expectEmit(address(channels));
        emit ChannelToppedUp(sender, receiver, open_block, added);
        delegate.topUpERC20(sender, receiver, open_block, added);

        assertPaidByDelegate(open_block, deposit + added);
    }

    function testFuzz_OpensAndTopsUpTheERC223Way(uint192 deposit, uint192 added) public {
        (deposit, added) = split(deposit, added);
        uint32 open_block = uint32(block.number);

        vm.expectEmit(address(channels));
        emit ChannelCreated(sender, receiver, deposit);
        delegate.createChannelERC223(deposit, abi.encodePacked(sender, receiver));
        vm.expectEmit(address(channels));
        emit ChannelToppedUp(sender, receiver, open_block, added);
        delegate.topUpERC223(added, abi.encodePacked(sender, receiver, open_block));

        assertPaidByDelegate(open_block, deposit + added);
    }

    function test_TheChannelIsTheSendersAndItGetsWhatIsLeft() public {
        uint32 open_block = uint32(block.number);
        delegate.createChannelERC20(sender, receiver, 10);
        nextBlock();
        approve(1);
        vm.prank(sender);
        channels.topUp(receiver, open_block, 1);
        cooperativeClose(open_block, 4);

        vm.assertEq(token.balanceOf(receiver), 4);
        vm.assertEq(token.balanceOf(sender), SENDER_TOKENS - 1 + 7);
        vm.assertEq(token.balanceOf(address(delegate)), DELEGATE_TOKENS - 10);
    }

    function test_TheSenderClosesAndSettlesItAlone() public {
        uint32 open_block = uint32(block.number);
        delegate.createChannelERC223(10, abi.encodePacked(sender, receiver));
        uncooperativeClose(open_block, 3);
        vm.roll(block.number + CHALLENGE_PERIOD + 1);
        settle(open_block);
        vm.assertEq(token.balanceOf(sender), SENDER_TOKENS + 7);
        vm.assertEq(token.balanceOf(receiver), 3);
    }

    function test_RevertWhen_NotTrusted() public {
        setTrusted(false);
        vm.expectRevert(abi.encodeWithSelector(NotTrusted.selector, address(delegate)));
        delegate.createChannelERC20(sender, receiver, 1);
        vm.expectRevert(abi.encodeWithSelector(NotFromSender.selector, address(delegate), sender));
        delegate.createChannelERC223(1, abi.encodePacked(sender, receiver));

        uint32 open_block = openChannel(1);
        vm.expectRevert(abi.encodeWithSelector(NotTrusted.selector, address(delegate)));
        delegate.topUpERC20(sender, receiver, open_block, 1);
        vm.expectRevert(abi.encodeWithSelector(NotFromSender.selector, address(delegate), sender));
        delegate.topUpERC223(1, abi.encodePacked(sender, receiver, open_block));
    }

    function test_RevertWhen_TheCallerIsThePartyItself() public {
        uint32 open_block = openChannel(1);
        vm.startPrank(sender);
        vm.expectRevert(abi.encodeWithSelector(NotTrusted.selector, sender));
        channels.createChannelDelegate(sender, receiver, 1);
        vm.expectRevert(abi.encodeWithSelector(NotTrusted.selector, sender));
        channels.topUpDelegate(sender, receiver, open_block, 1);
    }

    function test_RevertWhen_TheCallerIsTheOwner() public {
        vm.expectRevert(abi.encodeWithSelector(NotTrusted.selector, address(this)));
        channels.createChannelDelegate(sender, receiver, 1);
    }

    function test_RevertWhen_TheDelegateHasTooFewTokensThoughTheSenderAllowedSome() public {
        approve(DELEGATE_TOKENS + 1);
        vm.prank(address(delegate));
        token.transfer(stranger, DELEGATE_TOKENS);
        bytes memory reason =
            abi.encodeWithSelector(StandardToken.BalanceTooLow.selector, address(delegate), 0, 2);
        vm.expectRevert(abi.encodeWithSelector(TokenCallFailed.selector, reason));
        delegate.createChannelERC20(sender, receiver, 2);
    }

    function test_RevertWhen_TheLimitsAreNotKept() public {
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, LIMIT + 1, LIMIT));
        delegate.createChannelERC20(sender, receiver, LIMIT + 1);
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, LIMIT + 1, LIMIT));
        delegate.createChannelERC223(LIMIT + 1, abi.encodePacked(sender, receiver));

        uint32 open_block = openChannel(LIMIT);
        vm.expectRevert(abi.encodeWithSelector(DepositAboveLimit.selector, LIMIT + 1, LIMIT));
        delegate.topUpERC20(sender, receiver, open_block, 1);
        vm.expectRevert(abi.encodeWithSelector(ZeroTopUp.selector));
        delegate.topUpERC20(sender, receiver, open_block, 0);
    }

    function test_RevertWhen_ToppedUpDuringTheChallenge() public {
        uint32 open_block = openChannel(1);
        uncooperativeClose(open_block, 0);
        bytes memory reason =
            abi.encodeWithSelector(ChannelInChallenge.selector, block.number + CHALLENGE_PERIOD);
        vm.expectRevert(reason);
        delegate.topUpERC20(sender, receiver, open_block, 1);
        vm.expectRevert(reason);
        delegate.topUpERC223(1, abi.encodePacked(sender, receiver, open_block));
    }

    function test_RevertWhen_TheDelegateIsAskedByAnother() public {
        bytes memory reason = abi.encodeWithSelector(Delegate.NotOwner.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(reason);
        delegate.setup(address(token), address(channels));
        vm.expectRevert(reason);
        delegate.createChannelERC20(sender, receiver, 1);
        vm.expectRevert(reason);
        delegate.createChannelERC223(1, "");
        vm.expectRevert(reason);
        delegate.topUpERC20(sender, receiver, 1, 1);
        vm.expectRevert(reason);
        delegate.topUpERC223(1, "");
    }

    function setTrusted(bool trusted) private {
        address[] memory list = new address[](1);
        list[0] = address(delegate);
        if (trusted) channels.addTrustedContracts(list);
        else channels.removeTrustedContracts(list);
    }

    function split(uint192 deposit, uint192 added) private pure returns (uint192, uint192) {
        deposit %= LIMIT;
        return (deposit, 1 + added % (LIMIT - deposit));
    }

    function assertPaidByDelegate(uint32 open_block, uint192 deposit) private view {
        assertChannel(open_block, deposit, 0, 0, 0);
        vm.assertEq(token.balanceOf(sender), SENDER_TOKENS);
        vm.assertEq(token.balanceOf(address(delegate)), DELEGATE_TOKENS - deposit);
        vm.assertEq(token.balanceOf(address(channels)), deposit);
    }
}
