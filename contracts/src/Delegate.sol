// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Token} from "./Token.sol";
import {RaidenMicroTransferChannels} from "./RaidenMicroTransferChannels.sol";

/// @title A contract for tests that opens and tops up channels for others, with its own tokens.
/// @notice The channel contract must trust it (`addTrustedContracts`), and it must hold the tokens beforehand. What is
/// left of a deposit when its channel settles goes to the channel's sender, not back here.
contract Delegate {
    address private immutable owner_address;
    Token private token;
    RaidenMicroTransferChannels private microraiden;

    error NotOwner(address caller);

    modifier isOwner() {
        if (msg.sender != owner_address) revert NotOwner(msg.sender);
        _;
    }

    constructor() {
        owner_address = msg.sender;
    }

    /// @notice Says which token to pay with, and which channel contract to pay to.
    function setup(address _token_address, address _microraiden_address) external isOwner {
        token = Token(_token_address);
        microraiden = RaidenMicroTransferChannels(_microraiden_address);
    }

    /// @notice Opens a channel from `_sender_address`, the ERC20 way.
    function createChannelERC20(address _sender_address, address _receiver_address, uint192 _deposit)
        external
        isOwner
    {
        token.approve(address(microraiden), _deposit);
        microraiden.createChannelDelegate(_sender_address, _receiver_address, _deposit);
    }

    /// @notice Opens the channel that `_data` describes, the ERC223 way.
    function createChannelERC223(uint192 _deposit, bytes calldata _data) external isOwner {
        token.transfer(address(microraiden), _deposit, _data);
    }

    /// @notice Tops up a channel of `_sender_address`, the ERC20 way.
    function topUpERC20(
        address _sender_address,
        address _receiver_address,
        uint32 _open_block_number,
        uint192 _added_deposit
    ) external isOwner {
        token.approve(address(microraiden), _added_deposit);
        microraiden.topUpDelegate(_sender_address, _receiver_address, _open_block_number, _added_deposit);
    }

    /// @notice Tops up the channel that `_data` describes, the ERC223 way.
    function topUpERC223(uint192 _added_deposit, bytes calldata _data) external isOwner {
        token.transfer(address(microraiden), _added_deposit, _data);
    }
}
