// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ChannelEventsAndErrors} from "../../src/ChannelEventsAndErrors.sol";
import {CustomToken} from "../../src/CustomToken.sol";
import {RaidenMicroTransferChannels} from "../../src/RaidenMicroTransferChannels.sol";
import {vm} from "./Vm.sol";

/// @title What most tests begin with: a token, the channel contract, a sender with tokens and a receiver without.
/// @dev Hashes to be signed are written out here once more, from the documentation and not by the contract's help.
abstract contract ChannelTest is ChannelEventsAndErrors {
    uint256 internal constant SENDER_KEY = 0xa0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0;
    uint256 internal constant RECEIVER_KEY = 0xb1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1;
    uint256 internal constant STRANGER_KEY = 0xc2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2;

    uint32 internal constant CHALLENGE_PERIOD = 500;
    uint192 internal constant LIMIT = 100 ether;
    uint256 internal constant SENDER_TOKENS = 1000 ether;
    uint256 internal constant FIRST_BLOCK = 4_804_175;

    address internal immutable sender = vm.addr(SENDER_KEY);
    address internal immutable receiver = vm.addr(RECEIVER_KEY);
    address internal immutable stranger = vm.addr(STRANGER_KEY);

    CustomToken internal token;
    RaidenMicroTransferChannels internal channels;

    function setUp() public virtual {
        vm.roll(FIRST_BLOCK);
        token = new CustomToken(10 * SENDER_TOKENS, "CustomToken", "TKN", 18);
        channels = new RaidenMicroTransferChannels(address(token), CHALLENGE_PERIOD, new address[](0));
        token.transfer(sender, SENDER_TOKENS);
        vm.label(sender, "sender");
        vm.label(receiver, "receiver");
        vm.label(stranger, "stranger");
    }

    // The steps of a channel, without what is checked about them

    /// @dev Opens a channel the ERC20 way and goes on to the next block.
    function openChannel(uint192 deposit) internal returns (uint32 open_block) {
        open_block = uint32(block.number);
        approve(deposit);
        vm.prank(sender);
        channels.createChannel(receiver, deposit);
        nextBlock();
    }

    function approve(uint256 amount) internal {
        vm.startPrank(sender);
        token.approve(address(channels), 0);
        token.approve(address(channels), amount);
        vm.stopPrank();
    }

    function withdraw(uint32 open_block, uint192 balance) internal {
        bytes memory proof = balanceProof(open_block, balance);
        vm.prank(receiver);
        channels.withdraw(open_block, balance, proof);
    }

    function uncooperativeClose(uint32 open_block, uint192 balance) internal {
        vm.prank(sender);
        channels.uncooperativeClose(receiver, open_block, balance);
    }

    function cooperativeClose(uint32 open_block, uint192 balance) internal {
        bytes memory proof = balanceProof(open_block, balance);
        bytes memory closing = closingSignature(open_block, balance);
        channels.cooperativeClose(receiver, open_block, balance, proof, closing);
    }

    function settle(uint32 open_block) internal {
        vm.prank(sender);
        channels.settle(receiver, open_block);
    }

    function nextBlock() internal {
        vm.roll(block.number + 1);
    }

    // Signatures

    /// @dev The sender's signature that it owes the receiver `balance`.
    function balanceProof(uint32 open_block, uint192 balance) internal view returns (bytes memory) {
        return signed(SENDER_KEY, balanceProofHash(receiver, open_block, balance, address(channels)));
    }

    /// @dev The receiver's signature that the sender's channel may close at `balance`.
    function closingSignature(uint32 open_block, uint192 balance) internal view returns (bytes memory) {
        return signed(RECEIVER_KEY, closingHash(sender, open_block, balance, address(channels)));
    }

    function signed(uint256 key, bytes32 hash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }

    function balanceProofHash(address to, uint32 open_block, uint192 balance, address contract_address)
        internal
        pure
        returns (bytes32)
    {
        bytes32 schema = 0x58609bfe78970060668532972d17b7dead82d88aa62966110094cd806a421d9c;
        bytes memory values =
            abi.encodePacked("Sender balance proof signature", to, open_block, balance, contract_address);
        return keccak256(abi.encodePacked(schema, keccak256(values)));
    }

    function closingHash(address from, uint32 open_block, uint192 balance, address contract_address)
        internal
        pure
        returns (bytes32)
    {
        bytes32 schema = 0x9d3122a6193f337abb0b13a1e6d57b164a6acb15d825b38a5bd2e66af512f09f;
        bytes memory values =
            abi.encodePacked("Receiver closing signature", from, open_block, balance, contract_address);
        return keccak256(abi.encodePacked(schema, keccak256(values)));
    }

    // What is held against the state

    function keyOf(uint32 open_block) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(sender, receiver, open_block));
    }

    /// @dev All that `getChannelInfo` says of the channel.
    function assertChannel(uint32 open_block, uint192 deposit, uint32 settle_block, uint192 closing, uint192 withdrawn)
        internal
        view
    {
        (bytes32 key, uint192 d, uint32 s, uint192 c, uint192 w) =
            channels.getChannelInfo(sender, receiver, open_block);
        vm.assertEq(key, keyOf(open_block), "key");
        vm.assertEq(d, deposit, "deposit");
        vm.assertEq(s, settle_block, "settle block");
        vm.assertEq(c, closing, "closing balance");
        vm.assertEq(w, withdrawn, "withdrawn");
    }

    /// @dev Nothing of the channel is left but what was withdrawn.
    function assertForgotten(uint32 open_block) internal view {
        (uint192 deposit, uint32 block_number) = channels.channels(keyOf(open_block));
        (uint192 closing, uint32 settle_block) = channels.closing_requests(keyOf(open_block));
        vm.assertEq(deposit, 0, "deposit");
        vm.assertEq(block_number, 0, "open block");
        vm.assertEq(closing, 0, "closing balance");
        vm.assertEq(settle_block, 0, "settle block");
    }

    /// @dev Who holds how many tokens; the contract's must be what is left of the sender's.
    function assertTokens(uint256 of_sender, uint256 of_receiver) internal view {
        vm.assertEq(token.balanceOf(sender), of_sender, "tokens of the sender");
        vm.assertEq(token.balanceOf(receiver), of_receiver, "tokens of the receiver");
        vm.assertEq(
            token.balanceOf(address(channels)), SENDER_TOKENS - of_sender - of_receiver, "tokens of the contract"
        );
    }

    // Reasons to revert

    function notFound(uint32 open_block) internal view returns (bytes memory) {
        return abi.encodeWithSelector(ChannelNotFound.selector, sender, receiver, open_block);
    }
}
