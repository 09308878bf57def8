// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ChannelEventsAndErrors} from "./ChannelEventsAndErrors.sol";
import {ECVerify} from "./ECVerify.sol";
import {ERC20, ERC223Receiver, Token} from "./Token.sol";

/// @title Raiden MicroTransfer Channels: deposits that pay for many small transfers between two parties.
///
/// @notice A channel runs from a sender to a receiver and is named by both and by the block that opened it. Its life:
///
///  1. The sender opens it with a deposit (`createChannel`, or an ERC223 transfer) and may add to it (`topUp`).
///  2. The sender pays off chain: it signs balance proofs, each for the whole sum owed so far. The receiver keeps the
///     latest, and may `withdraw` by it.
///  3. Either party closes it at once with both signatures (`cooperativeClose`). Or the sender closes it alone at a
///     balance it claims (`uncooperativeClose`); the receiver then has the challenge period to correct the claim by
///     `cooperativeClose`, after which the sender may `settle`.
///  4. Settled, it is forgotten: the receiver has the balance, the sender the rest. Its name never comes again.
///
/// @dev Every function that changes a channel goes through the same beats: checks, effects, event, and last the token.
/// All of them share one reentrancy lock.
///
/// What is assumed of the token. It is chosen at deployment and never changes; whoever deposits trusts it.
///
///  - *Exact.* A deposit through `transferFrom` must raise this contract's holdings by exactly the stated amount; else
///    it is refused. A payment must not lower them by more than its amount; else it is refused. After an ERC223
///    transfer the token has already credited the deposit when it calls `tokenFallback`, and is taken at its word.
///  - *Silent or false.* `transfer` and `transferFrom` may return nothing; what returns false has failed. A token that
///    returns true and pays nothing is believed.
///  - *Fee on transfer.* Deposits are refused. If the fee comes later and is taken from what the recipient gets, all
///    payments still go out, and the recipients bear it; if it is charged on top, payments are refused.
///  - *Rebasing.* Not supported. A gain stays here for ever; after a loss the last to settle cannot.
///  - *Pausable.* While paused, nothing is opened, withdrawn or settled with payment. Challenge periods run on, and
///    a receiver that cannot correct a false claim before the sender settles loses by it.
///  - *Blacklisting.* When the token refuses one of the parties, or this contract, payments to it fail, and with them
///    the whole settlement, the other party's share included, until the token relents. The same holds for a receiver
///    that no token pays, such as the zero address; only a close at balance 0 gets that deposit back.
///  - *Hooks.* A party that the token calls back can make its own payment fail, thus also the settlement; it cannot
///    reenter. A token that calls `tokenFallback` from `transferFrom` too cannot be deposited the ERC20 way.
contract RaidenMicroTransferChannels is ERC223Receiver, ChannelEventsAndErrors {
    // ------------------------------------------------------------------------------------------------- Types and state

    struct Channel {
        /// @dev All tokens ever deposited; what was withdrawn is not subtracted.
        uint192 deposit;
        /// @dev Zero when there is no such channel.
        uint32 open_block_number;
    }

    struct ClosingRequest {
        /// @dev The balance that the sender claims to owe.
        uint192 closing_balance;
        /// @dev The last block of the challenge period. Zero when nothing was requested.
        uint32 settle_block_number;
    }

    /// @notice The version of this contract's interface.
    string public constant version = "0.2.0";

    /// @notice The highest deposit of a channel, in base units, whatever the token's decimals.
    uint256 public constant channel_deposit_bugbounty_limit = 10 ** 18 * 100;

    /// @dev In blocks. Shorter ones leave the receiver no time to correct a false claim.
    uint32 private constant MINIMUM_CHALLENGE_PERIOD = 500;

    bytes32 private constant BALANCE_PROOF_SCHEMA = keccak256(
        "string message_id" "address receiver" "uint32 block_created" "uint192 balance" "address contract"
    );
    bytes32 private constant CLOSING_SCHEMA = keccak256(
        "string message_id" "address sender" "uint32 block_created" "uint192 balance" "address contract"
    );

    /// @notice Who deployed the contract. May add and remove trusted contracts, and nothing else.
    address public immutable owner_address;

    /// @notice How many blocks the receiver has to correct an uncooperative close.
    uint32 public immutable challenge_period;

    /// @notice The token that all deposits are made of.
    Token public immutable token;

    /// @notice The channels that are not settled, by key.
    mapping(bytes32 => Channel) public channels;

    /// @notice The uncooperative closes of channels that are not settled, by key.
    mapping(bytes32 => ClosingRequest) public closing_requests;

    /// @notice The contracts that may open and top up channels for any sender, with their own tokens.
    mapping(address => bool) public trusted_contracts;

    /// @notice What each channel's receiver has withdrawn, by key; stays after the channel is settled.
    mapping(bytes32 => uint192) public withdrawn_balances;

    /// @dev Set while a function that changes channels runs. The token may call others, and those may call back.
    bool private transient locked;

    // ------------------------------------------------------------------------------------------------------- Modifiers

    modifier isOwner() {
        if (msg.sender != owner_address) revert NotOwner(msg.sender);
        _;
    }

    modifier isTrustedContract() {
        if (!trusted_contracts[msg.sender]) revert NotTrusted(msg.sender);
        _;
    }

    modifier nonReentrant() {
        if (locked) revert ReentrantCall();
        locked = true;
        _;
        locked = false;
    }

    // ---------------------------------------------------------------------------------------- Deployment and the owner

    /// @notice Deploys the contract for one token; the deployer is its owner.
    /// @param _token_address the token of all deposits.
    /// @param _challenge_period in blocks, at least 500. There is no maximum: read it before you deposit.
    /// @param _trusted_contracts see `addTrustedContracts`; may be empty.
    constructor(address _token_address, uint32 _challenge_period, address[] memory _trusted_contracts) {
        if (_token_address.code.length == 0) revert TokenWithoutCode(_token_address);
        if (Token(_token_address).totalSupply() == 0) revert TokenWithoutSupply(_token_address);
        if (_challenge_period < MINIMUM_CHALLENGE_PERIOD) {
            revert ChallengePeriodTooShort(_challenge_period, MINIMUM_CHALLENGE_PERIOD);
        }

        owner_address = msg.sender;
        token = Token(_token_address);
        challenge_period = _challenge_period;
        trust(_trusted_contracts);
    }

    /// @notice Trusts contracts to open and top up channels for any sender, with their own tokens. Addresses without
    /// code are skipped.
    /// @param _trusted_contracts their addresses.
    function addTrustedContracts(address[] calldata _trusted_contracts) external isOwner {
        trust(_trusted_contracts);
    }

    /// @notice Ceases to trust contracts. Addresses that are not trusted are skipped.
    /// @param _trusted_contracts their addresses.
    function removeTrustedContracts(address[] calldata _trusted_contracts) external isOwner {
        for (uint256 i = 0; i < _trusted_contracts.length; i++) {
            if (!trusted_contracts[_trusted_contracts[i]]) continue;
            trusted_contracts[_trusted_contracts[i]] = false;
            emit TrustedContract(_trusted_contracts[i], false);
        }
    }

    // -------------------------------------------------------------------------------------------------- Open a channel

    /// @notice Opens a channel from the caller to `_receiver_address`, the ERC20 way: the caller has allowed this
    /// contract to take `_deposit` tokens. The deposit may be zero.
    function createChannel(address _receiver_address, uint192 _deposit) external nonReentrant {
        open(msg.sender, _receiver_address, _deposit);
        collect(_deposit);
    }

    /// @notice Opens a channel from `_sender_address`, with the tokens of the caller, a trusted contract.
    function createChannelDelegate(address _sender_address, address _receiver_address, uint192 _deposit)
        external
        nonReentrant
        isTrustedContract
    {
        open(_sender_address, _receiver_address, _deposit);
        collect(_deposit);
    }

    /// @notice Opens or tops up a channel, the ERC223 way: called by the token after it has credited `_deposit`.
    /// @param _sender_address who sent the tokens: the channel's sender, or a trusted contract.
    /// @param _data sender and receiver (40 bytes) to open a channel; sender, receiver and the block that opened it
    /// (44 bytes, block number big-endian) to top it up.
    function tokenFallback(address _sender_address, uint256 _deposit, bytes calldata _data) external nonReentrant {
        if (msg.sender != address(token)) revert NotToken(msg.sender);
        if (_deposit > channel_deposit_bugbounty_limit) {
            revert DepositAboveLimit(_deposit, channel_deposit_bugbounty_limit);
        }
        if (_data.length != 40 && _data.length != 44) revert InvalidDataLength(_data.length);
        address sender = address(bytes20(_data[0:20]));
        address receiver = address(bytes20(_data[20:40]));
        if (_sender_address != sender && !trusted_contracts[_sender_address]) {
            revert NotFromSender(_sender_address, sender);
        }

        if (_data.length == 40) {
            open(sender, receiver, uint192(_deposit));
        } else {
            increase(sender, receiver, uint32(bytes4(_data[40:44])), uint192(_deposit));
        }
    }

    // ------------------------------------------------------------------------------------------------ Top up a channel

    /// @notice Adds to the deposit of a channel of the caller, the ERC20 way. Not during the challenge period.
    function topUp(address _receiver_address, uint32 _open_block_number, uint192 _added_deposit)
        external
        nonReentrant
    {
        increase(msg.sender, _receiver_address, _open_block_number, _added_deposit);
        collect(_added_deposit);
    }

    /// @notice Adds to the deposit of a channel, with the tokens of the caller, a trusted contract.
    function topUpDelegate(
        address _sender_address,
        address _receiver_address,
        uint32 _open_block_number,
        uint192 _added_deposit
    ) external nonReentrant isTrustedContract {
        increase(_sender_address, _receiver_address, _open_block_number, _added_deposit);
        collect(_added_deposit);
    }

    // ----------------------------------------------------------------------------------------- Withdraw from a channel

    /// @notice Pays the caller, the receiver, up to `_balance`; the channel stays open. Not in the challenge period.
    /// @param _balance all that the sender owes by its balance proof, what was withdrawn earlier included.
    /// @param _balance_msg_sig the sender's balance proof.
    function withdraw(uint32 _open_block_number, uint192 _balance, bytes calldata _balance_msg_sig)
        external
        nonReentrant
    {
        address sender =
            extractBalanceProofSignature(msg.sender, _open_block_number, _balance, _balance_msg_sig);
        bytes32 key = getKey(sender, msg.sender, _open_block_number);
        uint192 deposit = existing(key, sender, msg.sender, _open_block_number).deposit;
        uint32 settle_block_number = closing_requests[key].settle_block_number;
        if (settle_block_number != 0) revert ChannelInChallenge(settle_block_number);
        if (_balance > deposit) revert BalanceAboveDeposit(_balance, deposit);
        uint192 withdrawn = withdrawn_balances[key];
        if (_balance <= withdrawn) revert NothingToWithdraw(_balance, withdrawn);
        uint192 amount = _balance - withdrawn;

        withdrawn_balances[key] = _balance;
        emit ChannelWithdraw(sender, msg.sender, _open_block_number, amount);
        uint256 holdings_before = token.balanceOf(address(this));
        pay(msg.sender, amount);
        checkDebited(amount, holdings_before);
    }

    // ------------------------------------------------------------------------------------------------- Close a channel

    /// @notice Settles a channel at once, at the balance that both parties signed. Anyone may bring the signatures,
    /// also during and after the challenge period.
    /// @param _balance_msg_sig the sender's balance proof.
    /// @param _closing_sig the receiver's closing signature.
    function cooperativeClose(
        address _receiver_address,
        uint32 _open_block_number,
        uint192 _balance,
        bytes calldata _balance_msg_sig,
        bytes calldata _closing_sig
    ) external nonReentrant {
        address sender =
            extractBalanceProofSignature(_receiver_address, _open_block_number, _balance, _balance_msg_sig);
        address signer = extractClosingSignature(sender, _open_block_number, _balance, _closing_sig);
        if (signer != _receiver_address) revert ClosingSignerNotReceiver(signer, _receiver_address);

        bytes32 key = getKey(sender, _receiver_address, _open_block_number);
        settleChannel(key, sender, _receiver_address, _open_block_number, _balance);
    }

    /// @notice Asks to close a channel of the caller at the balance that the caller claims to owe, and starts the
    /// challenge period. Once only. A claim below what the receiver has withdrawn counts as that.
    function uncooperativeClose(address _receiver_address, uint32 _open_block_number, uint192 _balance)
        external
        nonReentrant
    {
        bytes32 key = getKey(msg.sender, _receiver_address, _open_block_number);
        uint192 deposit = existing(key, msg.sender, _receiver_address, _open_block_number).deposit;
        ClosingRequest storage request = closing_requests[key];
        if (request.settle_block_number != 0) revert ChannelInChallenge(request.settle_block_number);
        if (_balance > deposit) revert BalanceAboveDeposit(_balance, deposit);

        request.closing_balance = _balance;
        request.settle_block_number = asBlockNumber(block.number + challenge_period);
        emit ChannelCloseRequested(msg.sender, _receiver_address, _open_block_number, _balance);
    }

    // ------------------------------------------------------------------------------------------------ Settle a channel

    /// @notice Settles a channel of the caller after its challenge period, at the balance of the close, or at what the
    /// receiver has withdrawn if that is more.
    function settle(address _receiver_address, uint32 _open_block_number) external nonReentrant {
        bytes32 key = getKey(msg.sender, _receiver_address, _open_block_number);
        ClosingRequest memory request = closing_requests[key];
        if (request.settle_block_number == 0) revert ChannelNotInChallenge();
        if (block.number <= request.settle_block_number) {
            revert ChallengeNotOver(request.settle_block_number, block.number);
        }

        uint192 withdrawn = withdrawn_balances[key];
        uint192 balance = request.closing_balance < withdrawn ? withdrawn : request.closing_balance;
        settleChannel(key, msg.sender, _receiver_address, _open_block_number, balance);
    }

    // ----------------------------------------------------------------------------------------------------------- Views

    /// @notice All about a channel that is not settled; reverts for any other.
    /// @return key the channel's key
    /// @return deposit all tokens ever deposited
    /// @return settle_block_number the last block of the challenge period, or zero
    /// @return closing_balance the balance that the sender claims in its close, or zero
    /// @return withdrawn what the receiver has withdrawn
    function getChannelInfo(address _sender_address, address _receiver_address, uint32 _open_block_number)
        external
        view
        returns (bytes32 key, uint192 deposit, uint32 settle_block_number, uint192 closing_balance, uint192 withdrawn)
    {
        key = getKey(_sender_address, _receiver_address, _open_block_number);
        deposit = existing(key, _sender_address, _receiver_address, _open_block_number).deposit;
        ClosingRequest memory request = closing_requests[key];
        return (key, deposit, request.settle_block_number, request.closing_balance, withdrawn_balances[key]);
    }

    /// @notice The sender that signed a balance proof.
    function extractBalanceProofSignature(
        address _receiver_address,
        uint32 _open_block_number,
        uint192 _balance,
        bytes calldata _balance_msg_sig
    ) public view returns (address) {
        bytes32 values = keccak256(
            abi.encodePacked(
                "Sender balance proof signature", _receiver_address, _open_block_number, _balance, address(this)
            )
        );
        return ECVerify.recover(keccak256(abi.encodePacked(BALANCE_PROOF_SCHEMA, values)), _balance_msg_sig);
    }

    /// @notice The receiver that signed a close.
    function extractClosingSignature(
        address _sender_address,
        uint32 _open_block_number,
        uint192 _balance,
        bytes calldata _closing_sig
    ) public view returns (address) {
        bytes32 values = keccak256(
            abi.encodePacked(
                "Receiver closing signature", _sender_address, _open_block_number, _balance, address(this)
            )
        );
        return ECVerify.recover(keccak256(abi.encodePacked(CLOSING_SCHEMA, values)), _closing_sig);
    }

    /// @notice The key of a channel.
    function getKey(address _sender_address, address _receiver_address, uint32 _open_block_number)
        public
        pure
        returns (bytes32 data)
    {
        return keccak256(abi.encodePacked(_sender_address, _receiver_address, _open_block_number));
    }

    // ------------------------------------------------------------------------------------------ The steps of a channel

    /// @dev Books a new channel. Its deposit has come already, or is collected next.
    function open(address _sender, address _receiver, uint192 _deposit) private {
        if (_deposit > channel_deposit_bugbounty_limit) {
            revert DepositAboveLimit(_deposit, channel_deposit_bugbounty_limit);
        }
        uint32 open_block_number = asBlockNumber(block.number);
        Channel storage channel = channels[getKey(_sender, _receiver, open_block_number)];
        if (channel.open_block_number != 0) revert ChannelExists(_sender, _receiver, open_block_number);

        channel.deposit = _deposit;
        channel.open_block_number = open_block_number;
        emit ChannelCreated(_sender, _receiver, _deposit);
    }

    /// @dev Books more deposit of a channel. It has come already, or is collected next.
    function increase(address _sender, address _receiver, uint32 _open_block_number, uint192 _added_deposit) private {
        if (_added_deposit == 0) revert ZeroTopUp();
        bytes32 key = getKey(_sender, _receiver, _open_block_number);
        Channel storage channel = existing(key, _sender, _receiver, _open_block_number);
        uint32 settle_block_number = closing_requests[key].settle_block_number;
        if (settle_block_number != 0) revert ChannelInChallenge(settle_block_number);
        uint256 deposit = uint256(channel.deposit) + _added_deposit;
        if (deposit > channel_deposit_bugbounty_limit) {
            revert DepositAboveLimit(deposit, channel_deposit_bugbounty_limit);
        }

        channel.deposit = uint192(deposit);
        emit ChannelToppedUp(_sender, _receiver, _open_block_number, _added_deposit);
    }

    /// @dev Forgets a channel and pays both parties. Not in the block that opened it: there the same name could be
    /// opened again, and the old signatures with it.
    function settleChannel(
        bytes32 _key,
        address _sender,
        address _receiver,
        uint32 _open_block_number,
        uint192 _balance
    ) private {
        uint192 deposit = existing(_key, _sender, _receiver, _open_block_number).deposit;
        if (block.number == _open_block_number) revert SettledInOpenBlock(_open_block_number);
        if (_balance > deposit) revert BalanceAboveDeposit(_balance, deposit);
        uint192 withdrawn = withdrawn_balances[_key];
        if (_balance < withdrawn) revert BalanceBelowWithdrawn(_balance, withdrawn);

        delete channels[_key];
        delete closing_requests[_key];
        emit ChannelSettled(_sender, _receiver, _open_block_number, _balance, _balance - withdrawn);
        uint256 holdings_before = token.balanceOf(address(this));
        pay(_receiver, _balance - withdrawn);
        pay(_sender, deposit - _balance);
        checkDebited(deposit - withdrawn, holdings_before);
    }

    /// @dev The channel of a key, which must exist; its names are for the error.
    function existing(bytes32 _key, address _sender, address _receiver, uint32 _open_block_number)
        private
        view
        returns (Channel storage channel)
    {
        channel = channels[_key];
        if (channel.open_block_number == 0) revert ChannelNotFound(_sender, _receiver, _open_block_number);
    }

    /// @dev A block number as channels store it.
    function asBlockNumber(uint256 _number) private pure returns (uint32) {
        if (_number > type(uint32).max) revert BlockNumberTooHigh(_number);
        return uint32(_number);
    }

    function trust(address[] memory _trusted_contracts) private {
        for (uint256 i = 0; i < _trusted_contracts.length; i++) {
            if (_trusted_contracts[i].code.length == 0) continue;
            trusted_contracts[_trusted_contracts[i]] = true;
            emit TrustedContract(_trusted_contracts[i], true);
        }
    }

    // ------------------------------------------------------------------------------------------------------- The token

    /// @dev Takes a deposit from the caller. Nothing to take: the token is not asked.
    function collect(uint192 _amount) private {
        if (_amount == 0) return;
        uint256 holdings_before = token.balanceOf(address(this));
        callToken(abi.encodeCall(ERC20.transferFrom, (msg.sender, address(this), _amount)));
        uint256 holdings_after = token.balanceOf(address(this));
        if (holdings_after != holdings_before + _amount) {
            revert TokenCreditedOther(_amount, holdings_before, holdings_after);
        }
    }

    /// @dev Pays a party. Nothing to pay: the token is not asked, since some refuse to move nothing.
    function pay(address _to, uint192 _amount) private {
        if (_amount > 0) callToken(abi.encodeCall(ERC20.transfer, (_to, _amount)));
    }

    /// @dev After payments: no tokens may have gone but those stated, as others' deposits lie here too.
    function checkDebited(uint192 _stated, uint256 _holdings_before) private view {
        uint256 holdings_after = token.balanceOf(address(this));
        if (_holdings_before > holdings_after + _stated) {
            revert TokenDebitedMore(_stated, _holdings_before, holdings_after);
        }
    }

    /// @dev Calls the token; it has failed when it reverts or returns false.
    function callToken(bytes memory _call) private {
        (bool success, bytes memory result) = address(token).call(_call);
        if (!success) revert TokenCallFailed(result);
        if (result.length != 0 && !abi.decode(result, (bool))) revert TokenReturnedFalse();
    }
}
