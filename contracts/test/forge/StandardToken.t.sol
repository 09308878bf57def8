// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CustomToken} from "../../src/CustomToken.sol";
import {StandardToken} from "../../src/StandardToken.sol";
import {ERC20, ERC223Receiver} from "../../src/Token.sol";
import {vm} from "./Vm.sol";

/// @title The token's ERC20 and ERC223 parts; this test holds all tokens and can receive some.
contract StandardTokenTest is ERC223Receiver {
    uint256 private constant SUPPLY = 1_000_000;
    address private constant ALICE = address(0xa11ce);
    address private constant BOB = address(0xb0b);

    CustomToken private token;
    address private told_sender;
    uint256 private told_value;
    bytes private told_data;
    uint256 private told_holdings;

    function setUp() public {
        token = new CustomToken(SUPPLY, "Token", "TKN", 18);
    }

    function tokenFallback(address from, uint256 value, bytes calldata data) external {
        (told_sender, told_value, told_data) = (from, value, data);
        told_holdings = token.balanceOf(address(this));
    }

    // transfer

    function testFuzz_TransfersMoveExactAmounts(uint256 value) public {
        value %= SUPPLY + 1;
        vm.expectEmit(address(token));
        emit ERC20.Transfer(address(this), ALICE, value);
        vm.assertTrue(token.transfer(ALICE, value));
        assertHoldings(SUPPLY - value, value, 0);
    }

    function test_ATransferToOneselfChangesNothing() public {
        token.transfer(address(this), 7);
        assertHoldings(SUPPLY, 0, 0);
    }

    function test_TheERC20TransferTellsNobody() public {
        token.transfer(address(this), 7);
        vm.assertEq(told_sender, address(0));
    }

    function testFuzz_RevertWhen_TheBalanceIsTooLow(uint256 value) public {
        vm.assume(value > SUPPLY);
        bytes memory reason =
            abi.encodeWithSelector(StandardToken.BalanceTooLow.selector, address(this), SUPPLY, value);
        vm.expectRevert(reason);
        token.transfer(ALICE, value);
        vm.expectRevert(reason);
        token.transfer(ALICE, value, "");
    }

    function test_RevertWhen_TheRecipientIsZeroOrTheToken() public {
        address[2] memory recipients = [address(0), address(token)];
        token.approve(address(this), SUPPLY);
        for (uint256 i = 0; i < 2; i++) {
            bytes memory reason = abi.encodeWithSelector(StandardToken.InvalidRecipient.selector, recipients[i]);
            vm.expectRevert(reason);
            token.transfer(recipients[i], 1);
            vm.expectRevert(reason);
            token.transfer(recipients[i], 1, "");
            vm.expectRevert(reason);
            token.transferFrom(address(this), recipients[i], 1);
        }
    }

    // transfer with data

    function testFuzz_AContractIsToldAfterItsTokensCame(uint256 value, bytes calldata data) public {
        value %= SUPPLY + 1;
        token.transfer(ALICE, value);
        vm.expectEmit(address(token));
        emit ERC20.Transfer(ALICE, address(this), value);
        vm.prank(ALICE);
        vm.assertTrue(token.transfer(address(this), value, data));

        vm.assertEq(told_sender, ALICE);
        vm.assertEq(told_value, value);
        vm.assertEq(told_data, data);
        vm.assertEq(told_holdings, SUPPLY);
    }

    function test_AnAccountWithoutCodeIsNotTold() public {
        vm.assertTrue(token.transfer(ALICE, 7, "data"));
        assertHoldings(SUPPLY - 7, 7, 0);
    }

    function test_RevertWhen_TheContractCannotReceive() public {
        CustomToken other = new CustomToken(1, "Other", "OTH", 18);
        vm.expectRevert();
        token.transfer(address(other), 1, "");
        assertHoldings(SUPPLY, 0, 0);
    }

    // approve and transferFrom

    function testFuzz_AnAllowanceIsSpentByTransfers(uint256 allowed, uint256 value) public {
        allowed %= SUPPLY + 1;
        value %= allowed + 1;
        vm.expectEmit(address(token));
        emit ERC20.Approval(address(this), ALICE, allowed);
        vm.assertTrue(token.approve(ALICE, allowed));
        vm.assertEq(token.allowance(address(this), ALICE), allowed);

        vm.expectEmit(address(token));
        emit ERC20.Transfer(address(this), BOB, value);
        vm.prank(ALICE);
        vm.assertTrue(token.transferFrom(address(this), BOB, value));
        vm.assertEq(token.allowance(address(this), ALICE), allowed - value);
        assertHoldings(SUPPLY - value, 0, value);
    }

    function test_AnAllowanceIsNotInfinite() public {
        token.approve(ALICE, type(uint256).max);
        vm.prank(ALICE);
        token.transferFrom(address(this), BOB, 1);
        vm.assertEq(token.allowance(address(this), ALICE), type(uint256).max - 1);
    }

    function testFuzz_RevertWhen_TheAllowanceIsTooLow(uint256 allowed, uint256 value) public {
        vm.assume(allowed < value);
        token.approve(ALICE, allowed);
        vm.expectRevert(abi.encodeWithSelector(StandardToken.AllowanceTooLow.selector, ALICE, allowed, value));
        vm.prank(ALICE);
        token.transferFrom(address(this), BOB, value);
    }

    function test_RevertWhen_TheOwnerHasTooFewThoughItAllowedMore() public {
        token.approve(ALICE, SUPPLY + 1);
        vm.expectRevert(
            abi.encodeWithSelector(StandardToken.BalanceTooLow.selector, address(this), SUPPLY, SUPPLY + 1)
        );
        vm.prank(ALICE);
        token.transferFrom(address(this), BOB, SUPPLY + 1);
        vm.assertEq(token.allowance(address(this), ALICE), SUPPLY + 1);
    }

    function test_RevertWhen_TheOwnerIsZero() public {
        vm.expectRevert(abi.encodeWithSelector(StandardToken.InvalidOwner.selector, address(0)));
        token.transferFrom(address(0), BOB, 0);
    }

    function test_AnAllowanceChangesToAndFromZero() public {
        token.approve(ALICE, 5);
        token.approve(ALICE, 0);
        token.approve(ALICE, 0);
        token.approve(ALICE, 7);
        vm.assertEq(token.allowance(address(this), ALICE), 7);
    }

    function testFuzz_RevertWhen_AnAllowanceIsNotSpent(uint256 old, uint256 changed) public {
        vm.assume(old != 0 && changed != 0);
        token.approve(ALICE, old);
        vm.expectRevert(abi.encodeWithSelector(StandardToken.AllowanceNotSpent.selector, ALICE, old));
        token.approve(ALICE, changed);
    }

    function assertHoldings(uint256 own, uint256 alice, uint256 bob) private view {
        vm.assertEq(token.balanceOf(address(this)), own, "own");
        vm.assertEq(token.balanceOf(ALICE), alice, "alice");
        vm.assertEq(token.balanceOf(BOB), bob, "bob");
        vm.assertEq(token.totalSupply(), SUPPLY, "supply");
    }
}
