// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECVerify} from "../../src/ECVerify.sol";
import {RaidenMicroTransferChannels} from "../../src/RaidenMicroTransferChannels.sol";
import {ChannelTest} from "./ChannelTest.sol";
import {vm} from "./Vm.sol";

/// @dev `ECVerify` for callers from outside.
contract Recoverer {
    function recover(bytes32 hash, bytes calldata signature) external pure returns (address) {
        return ECVerify.recover(hash, signature);
    }
}

/// @title Who signed: both messages, the form of a signature, and the vectors that all of the project shares.
contract SignaturesTest is ChannelTest {
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint256 private constant HIGHEST_S = ORDER / 2;

    Recoverer private recoverer;

    function setUp() public override {
        super.setUp();
        recoverer = new Recoverer();
    }

    // The two messages

    function testFuzz_TheSignerOfABalanceProofIsFound(uint256 key, address to, uint32 open_block, uint192 balance)
        public
        view
    {
        key = 1 + key % (ORDER - 1);
        bytes memory proof = signed(key, balanceProofHash(to, open_block, balance, address(channels)));
        vm.assertEq(channels.extractBalanceProofSignature(to, open_block, balance, proof), vm.addr(key));
    }

    function testFuzz_TheSignerOfACloseIsFound(uint256 key, address from, uint32 open_block, uint192 balance)
        public
        view
    {
        key = 1 + key % (ORDER - 1);
        bytes memory closing = signed(key, closingHash(from, open_block, balance, address(channels)));
        vm.assertEq(channels.extractClosingSignature(from, open_block, balance, closing), vm.addr(key));
    }

    function test_TheSchemasAreHashedAsDocumented() public pure {
        vm.assertEq(
            keccak256("string message_idaddress receiveruint32 block_createduint192 balanceaddress contract"),
            0x58609bfe78970060668532972d17b7dead82d88aa62966110094cd806a421d9c
        );
        vm.assertEq(
            keccak256("string message_idaddress senderuint32 block_createduint192 balanceaddress contract"),
            0x9d3122a6193f337abb0b13a1e6d57b164a6acb15d825b38a5bd2e66af512f09f
        );
    }

    function test_NeitherMessageStandsForTheOther() public view {
        bytes memory proof = signed(SENDER_KEY, balanceProofHash(receiver, 7, 3, address(channels)));
        vm.assertTrue(channels.extractClosingSignature(receiver, 7, 3, proof) != sender);
        bytes memory closing = signed(RECEIVER_KEY, closingHash(sender, 7, 3, address(channels)));
        vm.assertTrue(channels.extractBalanceProofSignature(sender, 7, 3, closing) != receiver);
    }

    // The form of a signature

    function testFuzz_RevertWhen_ItIsNot65BytesLong(uint256 length) public {
        length %= 200;
        vm.assume(length != 65);
        expectRefusal(0, new bytes(length), abi.encodeWithSelector(ECVerify.InvalidSignatureLength.selector, length));
    }

    function test_RevertWhen_ItIsOneByteShortOrLong() public {
        expectRefusal(0, new bytes(64), abi.encodeWithSelector(ECVerify.InvalidSignatureLength.selector, 64));
        expectRefusal(0, new bytes(66), abi.encodeWithSelector(ECVerify.InvalidSignatureLength.selector, 66));
    }

    function testFuzz_VMayBeWrittenInTwoWays(bytes32 hash) public view {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SENDER_KEY, hash);
        vm.assertEq(recoverer.recover(hash, abi.encodePacked(r, s, v)), sender);
        vm.assertEq(recoverer.recover(hash, abi.encodePacked(r, s, v - 27)), sender);
    }

    function test_RevertWhen_VIsAnyOther() public {
        bytes32 hash = keccak256("a hash");
        (, bytes32 r, bytes32 s) = vm.sign(SENDER_KEY, hash);
        for (uint256 v = 0; v < 256; v++) {
            if (v == 0 || v == 1 || v == 27 || v == 28) continue;
            bytes memory signature = abi.encodePacked(r, s, uint8(v));
            expectRefusal(hash, signature, abi.encodeWithSelector(ECVerify.InvalidSignatureV.selector, v));
        }
    }

    function testFuzz_RevertWhen_ItIsTheOtherFormOfTheSame(bytes32 hash) public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SENDER_KEY, hash);
        uint256 high = ORDER - uint256(s);
        uint8 other_v = v == 27 ? 28 : 27;
        vm.assertEq(ecrecover(hash, other_v, r, bytes32(high)), sender, "the other form is valid by itself");

        bytes memory reason = abi.encodeWithSelector(ECVerify.InvalidSignatureS.selector, high);
        expectRefusal(hash, abi.encodePacked(r, high, other_v), reason);
        expectRefusal(hash, abi.encodePacked(r, high, other_v - 27), reason);
    }

    function test_TheHighestLowSCountsAndTheNextDoesNot() public {
        bytes32 hash = keccak256("a hash");
        (, bytes32 r,) = vm.sign(SENDER_KEY, hash);
        address signer = ecrecover(hash, 27, r, bytes32(HIGHEST_S));
        vm.assertTrue(signer != address(0));
        vm.assertEq(recoverer.recover(hash, abi.encodePacked(r, HIGHEST_S, uint8(27))), signer);
        expectRefusal(
            hash,
            abi.encodePacked(r, HIGHEST_S + 1, uint8(27)),
            abi.encodeWithSelector(ECVerify.InvalidSignatureS.selector, HIGHEST_S + 1)
        );
    }

    function test_RevertWhen_NoKeyCanHaveMadeIt() public {
        bytes32 hash = keccak256("a hash");
        (, bytes32 r, bytes32 s) = vm.sign(SENDER_KEY, hash);
        bytes memory reason = abi.encodeWithSelector(ECVerify.InvalidSignature.selector);
        expectRefusal(hash, abi.encodePacked(bytes32(0), s, uint8(27)), reason);
        expectRefusal(hash, abi.encodePacked(r, bytes32(0), uint8(27)), reason);
        expectRefusal(hash, abi.encodePacked(ORDER, s, uint8(27)), reason);
        expectRefusal(hash, new bytes(65), reason);
    }

    function testFuzz_NoChangedByteLeavesTheSigner(bytes32 hash, uint8 change) public view {
        vm.assume(change != 0);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SENDER_KEY, hash);
        for (uint256 i = 0; i < 64; i++) {
            bytes memory signature = abi.encodePacked(r, s, v);
            signature[i] ^= bytes1(change);
            try recoverer.recover(hash, signature) returns (address signer) {
                vm.assertTrue(signer != sender);
            } catch {}
        }
    }

    function test_BothMessagesRefuseTheSameForms() public {
        bytes memory reason = abi.encodeWithSelector(ECVerify.InvalidSignatureLength.selector, 64);
        vm.expectRevert(reason);
        channels.extractBalanceProofSignature(receiver, 1, 1, new bytes(64));
        vm.expectRevert(reason);
        channels.extractClosingSignature(sender, 1, 1, new bytes(64));
    }

    // The shared vectors

    function test_TheVectorsAreRecoveredAndHashedAlike() public {
        string memory json = vectors();
        useContractOf(json);
        uint32 open_block = uint32(vm.parseJsonUint(json, ".open_block"));
        for (uint256 i = 0; i < 2; i++) {
            string memory entry = i == 0 ? ".balance_proofs[0]" : ".balance_proofs[1]";
            (uint192 balance, bytes32 hash, bytes memory signature) = vector(json, entry);
            vm.assertEq(balanceProofHash(receiver, open_block, balance, address(channels)), hash);
            vm.assertEq(channels.extractBalanceProofSignature(receiver, open_block, balance, signature), sender);
        }
        (uint192 closing_balance, bytes32 closing_hash, bytes memory closing) = vector(json, ".closing_signatures[0]");
        vm.assertEq(closingHash(sender, open_block, closing_balance, address(channels)), closing_hash);
        vm.assertEq(channels.extractClosingSignature(sender, open_block, closing_balance, closing), receiver);
        vm.assertEq(
            channels.getKey(sender, receiver, open_block), vm.parseJsonBytes32(json, ".channel_key")
        );
    }

    function test_TheVectorsCloseAChannelOf2018() public {
        string memory json = vectors();
        useContractOf(json);
        vm.roll(vm.parseJsonUint(json, ".open_block"));
        uint32 open_block = openChannel(LIMIT);
        (uint192 balance,, bytes memory proof) = vector(json, ".balance_proofs[0]");
        (,, bytes memory closing) = vector(json, ".closing_signatures[0]");
        channels.cooperativeClose(receiver, open_block, balance, proof, closing);
        assertTokens(SENDER_TOKENS - 22 ether, 22 ether);
    }

    function test_AForeignWalletsSignatureIsRecovered() public view {
        string memory json = vectors();
        address signer = vm.parseJsonAddress(json, ".foreign_wallet_vector.recovers");
        bytes32 schema = keccak256("address Addressuint32 Valueuint192 Value2");
        bytes32 values = keccak256(abi.encodePacked(signer, uint32(1000), uint192(2000)));
        bytes memory signature = vm.parseJsonBytes(json, ".foreign_wallet_vector.signature");
        vm.assertEq(recoverer.recover(keccak256(abi.encodePacked(schema, values)), signature), signer);
    }

    function vectors() private view returns (string memory) {
        return vm.readFile("../tests/vectors/proofs.json");
    }

    /// @dev Puts the channel contract where the vectors say it is.
    function useContractOf(string memory json) private {
        address place = vm.parseJsonAddress(json, ".contract");
        vm.etch(place, address(channels).code);
        channels = RaidenMicroTransferChannels(place);
    }

    function vector(string memory json, string memory entry)
        private
        pure
        returns (uint192 balance, bytes32 hash, bytes memory signature)
    {
        balance = uint192(vm.parseJsonUint(json, string.concat(entry, ".balance")));
        hash = vm.parseJsonBytes32(json, string.concat(entry, ".hash"));
        signature = vm.parseJsonBytes(json, string.concat(entry, ".signature"));
    }

    function expectRefusal(bytes32 hash, bytes memory signature, bytes memory reason) private {
        vm.expectRevert(reason);
        recoverer.recover(hash, signature);
    }
}
