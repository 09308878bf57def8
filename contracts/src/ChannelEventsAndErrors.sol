// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What the channel contract writes to the log, and why it refuses.
interface ChannelEventsAndErrors {
    /// @notice A channel was opened, in the block of this log.
    event ChannelCreated(address indexed _sender_address, address indexed _receiver_address, uint192 _deposit);

    /// @notice A channel's deposit grew by `_added_deposit`.
    event ChannelToppedUp(
        address indexed _sender_address,
        address indexed _receiver_address,
        uint32 indexed _open_block_number,
        uint192 _added_deposit
    );

    /// @notice The sender asks to close at `_balance`; the challenge period runs from here.
    event ChannelCloseRequested(
        address indexed _sender_address,
        address indexed _receiver_address,
        uint32 indexed _open_block_number,
        uint192 _balance
    );

    /// @notice A channel ended at `_balance`, of which the receiver got `_receiver_tokens` now and the rest earlier.
    event ChannelSettled(
        address indexed _sender_address,
        address indexed _receiver_address,
        uint32 indexed _open_block_number,
        uint192 _balance,
        uint192 _receiver_tokens
    );

    /// @notice The receiver got `_withdrawn_balance` now, on top of what it withdrew earlier.
    event ChannelWithdraw(
        address indexed _sender_address,
        address indexed _receiver_address,
        uint32 indexed _open_block_number,
        uint192 _withdrawn_balance
    );

    /// @notice The owner began to trust a contract, or ceased to.
    event TrustedContract(address indexed _trusted_contract_address, bool _trusted_status);

    error ReentrantCall();
    error NotOwner(address caller);
    error NotTrusted(address caller);
    error NotToken(address caller);

    error TokenWithoutCode(address token_address);
    error TokenWithoutSupply(address token_address);
    error ChallengePeriodTooShort(uint32 challenge_period, uint32 minimum);

    error InvalidDataLength(uint256 length);
    /// @notice The tokens came from neither the channel's sender nor a trusted contract.
    error NotFromSender(address token_sender, address channel_sender);
    error DepositAboveLimit(uint256 deposit, uint256 limit);
    error ZeroTopUp();
    /// @notice Sender and receiver opened a channel in this block already.
    error ChannelExists(address sender, address receiver, uint32 open_block_number);
    /// @notice Never opened or already settled. A balance proof for anything else leads here too: it recovers another
    /// sender.
    error ChannelNotFound(address sender, address receiver, uint32 open_block_number);
    error BlockNumberTooHigh(uint256 block_number);

    error ChannelInChallenge(uint32 settle_block_number);
    error ChannelNotInChallenge();
    /// @notice `settle` works in the first block after `settle_block_number`.
    error ChallengeNotOver(uint32 settle_block_number, uint256 block_number);
    error SettledInOpenBlock(uint32 open_block_number);
    error BalanceAboveDeposit(uint192 balance, uint192 deposit);
    error BalanceBelowWithdrawn(uint192 balance, uint192 withdrawn);
    error NothingToWithdraw(uint192 balance, uint192 withdrawn);
    error ClosingSignerNotReceiver(address signer, address receiver);

    /// @notice The token reverted, for `reason`.
    error TokenCallFailed(bytes reason);
    error TokenReturnedFalse();
    error TokenCreditedOther(uint256 stated, uint256 holdings_before, uint256 holdings_after);
    error TokenDebitedMore(uint256 stated, uint256 holdings_before, uint256 holdings_after);
}
