// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CustomToken} from "../../src/CustomToken.sol";
import {RaidenMicroTransferChannels} from "../../src/RaidenMicroTransferChannels.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

contract ConstructorTest is ChannelTest {
    function test_StatesWhatItWasDeployedWith() public view {
        vm.assertEq(channels.version(), "0.2.0");
        vm.assertEq(channels.challenge_period(), CHALLENGE_PERIOD);
        vm.assertEq(address(channels.token()), address(token));
        vm.assertEq(channels.owner_address(), address(this));
        vm.assertEq(channels.channel_deposit_bugbounty_limit(), 100 * 10 ** 18);
    }

    function test_TheLimitIsTheSameForATokenOfOtherDecimals() public {
        CustomToken coarse = new CustomToken(1, "Coarse", "CRS", 0);
        vm.assertEq(deploy(address(coarse), CHALLENGE_PERIOD).channel_deposit_bugbounty_limit(), 100 * 10 ** 18);
    }

    function testFuzz_AnyChallengePeriodFromTheMinimumUp(uint32 period) public {
        vm.assume(period >= 500);
        vm.assertEq(deploy(address(token), period).challenge_period(), period);
    }

    function testFuzz_RevertWhen_ChallengePeriodIsBelowTheMinimum(uint32 period) public {
        period %= 500;
        vm.expectRevert(abi.encodeWithSelector(ChallengePeriodTooShort.selector, period, 500));
        deploy(address(token), period);
    }

    function test_RevertWhen_ChallengePeriodIsOneBelowTheMinimum() public {
        vm.expectRevert(abi.encodeWithSelector(ChallengePeriodTooShort.selector, 499, 500));
        deploy(address(token), 499);
    }

    function test_RevertWhen_TokenIsZero() public {
        vm.expectRevert(abi.encodeWithSelector(TokenWithoutCode.selector, address(0)));
        deploy(address(0), CHALLENGE_PERIOD);
    }

    function test_RevertWhen_TokenHasNoCode() public {
        vm.expectRevert(abi.encodeWithSelector(TokenWithoutCode.selector, stranger));
        deploy(stranger, CHALLENGE_PERIOD);
    }

    function test_RevertWhen_TokenIsAContractThatIsNoToken() public {
        vm.expectRevert();
        deploy(address(channels), CHALLENGE_PERIOD);
    }

    function test_RevertWhen_TokenHasNoSupply() public {
        CustomToken none = new CustomToken(0, "None", "NON", 18);
        vm.expectRevert(abi.encodeWithSelector(TokenWithoutSupply.selector, address(none)));
        deploy(address(none), CHALLENGE_PERIOD);
    }

    function test_TrustsTheContractsItIsGivenAndSkipsOthers() public {
        address[] memory given = new address[](3);
        (given[0], given[1], given[2]) = (address(token), stranger, address(this));
        RaidenMicroTransferChannels trusting =
            new RaidenMicroTransferChannels(address(token), CHALLENGE_PERIOD, given);
        vm.assertTrue(trusting.trusted_contracts(address(token)));
        vm.assertFalse(trusting.trusted_contracts(stranger));
        vm.assertTrue(trusting.trusted_contracts(address(this)));
    }

    function deploy(address token_address, uint32 period) private returns (RaidenMicroTransferChannels) {
        return new RaidenMicroTransferChannels(token_address, period, new address[](0));
    }
}
