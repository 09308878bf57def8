// Holds the committed ABIs against those of 0.2.0, written out here: clients of 2018 must find what they know. Only
// errors may be added.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { keccak_256 } from "@noble/hashes/sha3.js";

const CHANNELS = {
  constructor: "(address _token_address, uint32 _challenge_period, address[] _trusted_contracts)",
  functions: {
    "0xc0ee0b8a": "tokenFallback(address _sender_address, uint256 _deposit, bytes _data)",
    "0xa6d15963": "createChannel(address _receiver_address, uint192 _deposit)",
    "0xfcff5ed6": "createChannelDelegate(address _sender_address, address _receiver_address, uint192 _deposit)",
    "0x016a8cf6": "topUp(address _receiver_address, uint32 _open_block_number, uint192 _added_deposit)",
    "0x79694f08":
      "topUpDelegate(address _sender_address, address _receiver_address, uint32 _open_block_number, uint192 _added_deposit)",
    "0xa6b7fa36": "withdraw(uint32 _open_block_number, uint192 _balance, bytes _balance_msg_sig)",
    "0x1c6f609b":
      "cooperativeClose(address _receiver_address, uint32 _open_block_number, uint192 _balance, bytes _balance_msg_sig, bytes _closing_sig)",
    "0x323cb59b": "uncooperativeClose(address _receiver_address, uint32 _open_block_number, uint192 _balance)",
    "0x5a8e9d66": "settle(address _receiver_address, uint32 _open_block_number)",
    "0x0eba6b06":
      "getChannelInfo(address _sender_address, address _receiver_address, uint32 _open_block_number) view returns (bytes32 key, uint192 deposit, uint32 settle_block_number, uint192 closing_balance, uint192 withdrawn)",
    "0x8c76b4b7": "addTrustedContracts(address[] _trusted_contracts)",
    "0x1f52cc35": "removeTrustedContracts(address[] _trusted_contracts)",
    "0x1ac25e99":
      "extractBalanceProofSignature(address _receiver_address, uint32 _open_block_number, uint192 _balance, bytes _balance_msg_sig) view returns (address)",
    "0x1d8ceb44":
      "extractClosingSignature(address _sender_address, uint32 _open_block_number, uint192 _balance, bytes _closing_sig) view returns (address)",
    "0x803c8383":
      "getKey(address _sender_address, address _receiver_address, uint32 _open_block_number) pure returns (bytes32 data)",
    "0x0a00840c": "challenge_period() view returns (uint32)",
    "0x6108b5ff": "channel_deposit_bugbounty_limit() view returns (uint256)",
    "0x7a7ebd7b": "channels(bytes32) view returns (uint192 deposit, uint32 open_block_number)",
    "0x77c13323": "closing_requests(bytes32) view returns (uint192 closing_balance, uint32 settle_block_number)",
    "0x80edef8e": "owner_address() view returns (address)",
    "0xfc0c546a": "token() view returns (address)",
    "0x990030cc": "trusted_contracts(address) view returns (bool)",
    "0x54fd4d50": "version() view returns (string)",
    "0x22a3eab5": "withdrawn_balances(bytes32) view returns (uint192)",
  },
  events: {
    "0x986876e67d288f7b8bc5229976a1d5710be919feb66d2e1aec1bf3eadebba207":
      "ChannelCreated(address indexed _sender_address, address indexed _receiver_address, uint192 _deposit)",
    "0x283bcbed58779cdfe40c216a69673863430a43dbf7fe557730c0498890e55126":
      "ChannelToppedUp(address indexed _sender_address, address indexed _receiver_address, uint32 indexed _open_block_number, uint192 _added_deposit)",
    "0x960e55a871be40c817ffd64e2117c513e42f047ccfdcbc5454e68dfc65e9a9b0":
      "ChannelCloseRequested(address indexed _sender_address, address indexed _receiver_address, uint32 indexed _open_block_number, uint192 _balance)",
    "0x5f32714de7650ec742b858687d8db145623b99b0748db73df3ffc4d718867a8d":
      "ChannelSettled(address indexed _sender_address, address indexed _receiver_address, uint32 indexed _open_block_number, uint192 _balance, uint192 _receiver_tokens)",
    "0xe588a2bb9921c62e0da981f10952a3bb82216bf11a1f731da610fd2542eef27d":
      "ChannelWithdraw(address indexed _sender_address, address indexed _receiver_address, uint32 indexed _open_block_number, uint192 _withdrawn_balance)",
    "0xe2ad9d0600e2a93ef46991efd2c22f65f9ebe472487cc7551647bc52d7932899":
      "TrustedContract(address indexed _trusted_contract_address, bool _trusted_status)",
  },
};

const TOKEN = {
  constructor: "(uint256 initial_supply, string token_name, string token_symbol, uint8 decimal_units)",
  functions: {
    "0x18160ddd": "totalSupply() view returns (uint256)",
    "0x06fdde03": "name() view returns (string)",
    "0x95d89b41": "symbol() view returns (string)",
    "0x313ce567": "decimals() view returns (uint8)",
    "0x70a08231": "balanceOf(address _owner) view returns (uint256 balance)",
    "0xa9059cbb": "transfer(address _to, uint256 _value) returns (bool success)",
    "0xbe45fd62": "transfer(address _to, uint256 _value, bytes _data) returns (bool success)",
    "0x23b872dd": "transferFrom(address _from, address _to, uint256 _value) returns (bool success)",
    "0x095ea7b3": "approve(address _spender, uint256 _value) returns (bool success)",
    "0xdd62ed3e": "allowance(address _owner, address _spender) view returns (uint256 remaining)",
    "0x54fd4d50": "version() view returns (string)",
    "0x1b3ed722": "multiplier() view returns (uint256)",
    "0x80edef8e": "owner_address() view returns (address)",
    "0x1249c58b": "mint() payable",
    "0x3c68eb81": "transferFunds()",
  },
  events: {
    "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef":
      "Transfer(address indexed _from, address indexed _to, uint256 _value)",
    "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925":
      "Approval(address indexed _owner, address indexed _spender, uint256 _value)",
    "0x30385c845b448a36257a6a1716e6ad2e1bc2cbe333cde1e69fe849ad6511adfe":
      "Minted(address indexed _to, uint256 indexed _num)",
  },
};

const DELEGATE = {
  constructor: "()",
  functions: {
    "0x2d34ba79": "setup(address _token_address, address _microraiden_address)",
    "0xb63870b9": "createChannelERC20(address _sender_address, address _receiver_address, uint192 _deposit)",
    "0x13e3b8f4": "createChannelERC223(uint192 _deposit, bytes _data)",
    "0x25a674e2":
      "topUpERC20(address _sender_address, address _receiver_address, uint32 _open_block_number, uint192 _added_deposit)",
    "0xb93ea6f6": "topUpERC223(uint192 _added_deposit, bytes _data)",
  },
  events: {},
};

function committedAbi(contract) {
  return JSON.parse(readFileSync(new URL(`../artifacts/${contract}.json`, import.meta.url), "utf8")).abi;
}

/** The hash that names a function (its first four bytes) or an event (all of it). */
function id({ name, inputs }) {
  const signature = `${name}(${inputs.map((input) => input.type).join(",")})`;
  return `0x${Buffer.from(keccak_256(Buffer.from(signature))).toString("hex")}`;
}

function parameters(list) {
  const texts = list.map(({ type, indexed, name }) => [type, indexed && "indexed", name].filter(Boolean).join(" "));
  return `(${texts.join(", ")})`;
}

/** One entry of an ABI as Solidity would declare it. */
function declaration({ name = "", inputs, outputs = [], stateMutability = "nonpayable" }) {
  const mutability = stateMutability === "nonpayable" ? "" : ` ${stateMutability}`;
  const returns = outputs.length > 0 ? ` returns ${parameters(outputs)}` : "";
  return `${name}${parameters(inputs)}${mutability}${returns}`;
}

function declarations(abi, type, idLength) {
  const entries = abi.filter((entry) => entry.type === type);
  return Object.fromEntries(entries.map((entry) => [id(entry).slice(0, idLength), declaration(entry)]));
}

function check(contract, expected) {
  test(contract, () => {
    const abi = committedAbi(contract);
    assert.deepEqual(declarations(abi, "function", 10), expected.functions);
    assert.deepEqual(declarations(abi, "event", 66), expected.events);

    const others = abi.filter((entry) => !["function", "event", "error"].includes(entry.type));
    assert.deepEqual(others.map((entry) => entry.type), ["constructor"]);
    assert.equal(declaration(others[0]), expected.constructor);
    assert.ok(abi.every((entry) => !entry.anonymous), "no event is anonymous");
  });
}

check("RaidenMicroTransferChannels", CHANNELS);
check("CustomToken", TOKEN);
check("Delegate", DELEGATE);
