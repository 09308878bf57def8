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

    /// @notice The owner began to trust `_trusted_contract_address`, or ceased to, as `_trusted_status` says.
    event TrustedContract(address indexed _trusted_contract_address, bool _trusted_status);

    /// @notice Called from within another call of this contract.
    error ReentrantCall();
    /// @notice Only the owner may.
    error NotOwner(address caller);
    /// @notice Only a trusted contract may.
    error NotTrusted(address caller);
    /// @notice Only the token may.
    error NotToken(address caller);

    /// @notice There is no contract at the token's address.
    error TokenWithoutCode(address token_address);
    /// @notice There is nothing of the token.
    error TokenWithoutSupply(address token_address);
    /// @notice The challenge period is below the minimum, in blocks.
    error ChallengePeriodTooShort(uint32 challenge_period, uint32 minimum);

    /// @notice The data of an ERC223 transfer has neither 40 nor 44 bytes.
    error InvalidDataLength(uint256 length);
    /// @notice The tokens came from neither the channel's sender nor a trusted contract.
    error NotFromSender(address token_sender, address channel_sender);
    /// @notice The deposit, with what was deposited before, is above `channel_deposit_bugbounty_limit`.
    error DepositAboveLimit(uint256 deposit, uint256 limit);
    /// @notice A top-up adds nothing.
    error ZeroTopUp();
    /// @notice Sender and receiver opened a channel in this block already.
    error ChannelExists(address sender, address receiver, uint32 open_block_number);
    /// @notice Never opened or already settled. A balance proof for anything else leads here too: it recovers another
    /// sender.
    error ChannelNotFound(address sender, address receiver, uint32 open_block_number);
    /// @notice The block number does not fit the 32 bits of a channel's name.
    error BlockNumberTooHigh(uint256 block_number);

    /// @notice A close was requested; `settle_block_number` is the last block of the challenge period.
    error ChannelInChallenge(uint32 settle_block_number);
    /// @notice No close was requested.
    error ChannelNotInChallenge();
    /// @notice `settle` works in the first block after `settle_block_number`.
    error ChallengeNotOver(uint32 settle_block_number, uint256 block_number);
    /// @notice A channel cannot be settled in the block that opened it: its name could come again.
    error SettledInOpenBlock(uint32 open_block_number);
    /// @notice More is claimed than was deposited.
    error BalanceAboveDeposit(uint192 balance, uint192 deposit);
    /// @notice Less is signed for than was withdrawn already.
    error BalanceBelowWithdrawn(uint192 balance, uint192 withdrawn);
    /// @notice The balance proof is for no more than was withdrawn already.
    error NothingToWithdraw(uint192 balance, uint192 withdrawn);
    /// @notice Somebody else than the receiver signed the close.
    error ClosingSignerNotReceiver(address signer, address receiver);

    /// @notice The token reverted, for `reason`.
    error TokenCallFailed(bytes reason);
    /// @notice The token returned false.
    error TokenReturnedFalse();
    /// @notice A deposit changed this contract's holdings by another amount than stated.
    error TokenCreditedOther(uint256 stated, uint256 holdings_before, uint256 holdings_after);
    /// @notice Payments took more of this contract's holdings than stated.
    error TokenDebitedMore(uint256 stated, uint256 holdings_before, uint256 holdings_after);
}
