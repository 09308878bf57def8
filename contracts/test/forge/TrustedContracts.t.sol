// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @title Whom the owner trusts.
contract TrustedContractsTest is ChannelTest {
    function test_AddsContractsAndSkipsAddressesWithoutCode() public {
        vm.expectEmit(address(channels));
        emit TrustedContract(address(token), true);
        vm.expectEmit(address(channels));
        emit TrustedContract(address(this), true);
        vm.recordLogs();
        channels.addTrustedContracts(list(address(token), stranger, address(this)));

        vm.assertEq(vm.getRecordedLogs().length, 2);
        vm.assertTrue(channels.trusted_contracts(address(token)));
        vm.assertFalse(channels.trusted_contracts(stranger));
        vm.assertTrue(channels.trusted_contracts(address(this)));
    }

    function test_AddingAgainIsLoggedAgain() public {
        channels.addTrustedContracts(list(address(token), address(token), address(token)));
        vm.expectEmit(address(channels));
        emit TrustedContract(address(token), true);
        channels.addTrustedContracts(list(address(token), address(0), address(0)));
        vm.assertTrue(channels.trusted_contracts(address(token)));
        vm.assertFalse(channels.trusted_contracts(address(0)));
    }

    function test_RemovesWhatIsTrustedAndSkipsTheRest() public {
        channels.addTrustedContracts(list(address(token), address(this), address(this)));
        vm.expectEmit(address(channels));
        emit TrustedContract(address(token), false);
        vm.recordLogs();
        channels.removeTrustedContracts(list(address(token), stranger, address(token)));

        vm.assertEq(vm.getRecordedLogs().length, 1);
        vm.assertFalse(channels.trusted_contracts(address(token)));
        vm.assertTrue(channels.trusted_contracts(address(this)));
    }

    function test_AnEmptyListChangesNothing() public {
        vm.recordLogs();
        channels.addTrustedContracts(new address[](0));
        channels.removeTrustedContracts(new address[](0));
        vm.assertEq(vm.getRecordedLogs().length, 0);
    }

    function testFuzz_RevertWhen_TheCallerIsNotTheOwner(address caller) public {
        vm.assume(caller != address(this));
        vm.startPrank(caller);
        vm.expectRevert(abi.encodeWithSelector(NotOwner.selector, caller));
        channels.addTrustedContracts(new address[](0));
        vm.expectRevert(abi.encodeWithSelector(NotOwner.selector, caller));
        channels.removeTrustedContracts(new address[](0));
    }

    function list(address a, address b, address c) private pure returns (address[] memory addresses) {
        addresses = new address[](3);
        (addresses[0], addresses[1], addresses[2]) = (a, b, c);
    }
}
