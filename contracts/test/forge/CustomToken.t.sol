// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CustomToken} from "../../src/CustomToken.sol";
import {vm} from "./Vm.sol";

/// @title The token of development networks.
contract CustomTokenTest {
    address private constant MINTER = address(0x1234);

    CustomToken private token;
    bool private refuses_ether;

    receive() external payable {
        require(!refuses_ether);
    }

    function setUp() public {
        token = new CustomToken(1_000_000, "My token", "MTK", 3);
    }

    function test_StatesWhatItWasDeployedWith() public view {
        vm.assertEq(token.version(), "H0.1");
        vm.assertEq(token.name(), "My token");
        vm.assertEq(token.symbol(), "MTK");
        vm.assertEq(token.decimals(), 3);
        vm.assertEq(token.multiplier(), 1000);
        vm.assertEq(token.owner_address(), address(this));
        vm.assertEq(token.totalSupply(), 1_000_000);
        vm.assertEq(token.balanceOf(address(this)), 1_000_000);
    }

    function testFuzz_MintingBringsFiftyTokensHoweverMuchIsPaid(uint96 price) public {
        vm.assume(price >= 0.1 ether);
        vm.expectEmit(address(token));
        emit CustomToken.Minted(MINTER, 50_000);
        mint(price);

        vm.assertEq(token.balanceOf(MINTER), 50_000);
        vm.assertEq(token.totalSupply(), 1_050_000);
        vm.assertEq(address(token).balance, price);
    }

    function testFuzz_RevertWhen_TooLittleIsPaid(uint256 price) public {
        price %= 0.1 ether;
        vm.expectRevert(abi.encodeWithSelector(CustomToken.MintTooCheap.selector, price, 0.1 ether));
        mint(price);
    }

    function test_RevertWhen_OneWeiTooLittleIsPaid() public {
        vm.expectRevert(abi.encodeWithSelector(CustomToken.MintTooCheap.selector, 0.1 ether - 1, 0.1 ether));
        mint(0.1 ether - 1);
    }

    function test_TheOwnerCollectsAllEther() public {
        mint(0.1 ether);
        mint(0.2 ether);
        uint256 before = address(this).balance;
        token.transferFunds();
        vm.assertEq(address(this).balance, before + 0.3 ether);
        vm.assertEq(address(token).balance, 0);
    }

    function test_RevertWhen_AnotherCollects() public {
        mint(0.1 ether);
        vm.expectRevert(abi.encodeWithSelector(CustomToken.NotOwner.selector, MINTER));
        vm.prank(MINTER);
        token.transferFunds();
    }

    function test_RevertWhen_ThereIsNothingToCollect() public {
        vm.expectRevert(abi.encodeWithSelector(CustomToken.NoFunds.selector));
        token.transferFunds();
    }

    function test_RevertWhen_TheOwnerRefusesEther() public {
        mint(0.1 ether);
        refuses_ether = true;
        vm.expectRevert(abi.encodeWithSelector(CustomToken.OwnerRefusedFunds.selector));
        token.transferFunds();
    }

    function mint(uint256 price) private {
        vm.deal(MINTER, price);
        vm.prank(MINTER);
        token.mint{value: price}();
    }
}
