// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Token} from "./Token.sol";
import {StandardToken} from "./StandardToken.sol";

/// @title The token for development and test networks: anyone can mint some for test ether.
contract CustomToken is StandardToken {
    /// @notice The version of this token.
    string public constant version = "H0.1";

    /// @inheritdoc Token
    string public override name;

    /// @inheritdoc Token
    string public override symbol;

    /// @inheritdoc Token
    uint8 public immutable override decimals;

    /// @notice The base units of one token.
    uint256 public immutable multiplier;

    /// @notice Who deployed the token and may collect the ether that minting brings.
    address public immutable owner_address;

    /// @notice `_num` tokens were created for `_to`.
    event Minted(address indexed _to, uint256 indexed _num);

    /// @notice Minting costs at least `minimum` wei.
    error MintTooCheap(uint256 paid, uint256 minimum);
    /// @notice Only the owner may.
    error NotOwner(address caller);
    /// @notice There is no ether to send.
    error NoFunds();
    /// @notice The owner did not take the ether.
    error OwnerRefusedFunds();

    /// @notice Deploys the token; the deployer is its owner.
    /// @param initial_supply what the deployer receives, in base units.
    /// @param token_name the token's name, for people.
    /// @param token_symbol the token's short name, for people.
    /// @param decimal_units how many decimal places people shift a number of base units.
    constructor(uint256 initial_supply, string memory token_name, string memory token_symbol, uint8 decimal_units) {
        owner_address = msg.sender;
        name = token_name;
        symbol = token_symbol;
        decimals = decimal_units;
        multiplier = 10 ** uint256(decimal_units);
        issue(msg.sender, initial_supply);
    }

    /// @notice Creates 50 tokens for the caller, who pays 0.1 ether; more ether buys no more tokens.
    function mint() external payable {
        if (msg.value < 0.1 ether) revert MintTooCheap(msg.value, 0.1 ether);
        uint256 num = 50 * multiplier;

        issue(msg.sender, num);
        emit Minted(msg.sender, num);
    }

    /// @notice Sends all ether that minting brought to the owner.
    function transferFunds() external {
        if (msg.sender != owner_address) revert NotOwner(msg.sender);
        uint256 funds = address(this).balance;
        if (funds == 0) revert NoFunds();

        (bool success, ) = owner_address.call{value: funds}("");
        if (!success) revert OwnerRefusedFunds();
    }
}
