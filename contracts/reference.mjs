// Writes docs/contract-api.md from the ABI and the NatSpec comments, or with --check compares it with what is there.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { compile } from "./compile.mjs";

const PAGE = fileURLToPath(new URL("../docs/contract-api.md", import.meta.url));

const INTRODUCTION = `# The contracts' interface

Generated from the comments in \`contracts/src\` by \`node contracts/reference.mjs\`; edit those. Names and encodings are
those of version 0.2.0 of 2018; only the errors are new. Amounts are in base units of the token, periods in blocks.

A channel is named by its sender, its receiver and the number of the block that opened it; its key is the hash of the
three. What is assumed of tokens, and what cannot be mended with this interface, is told in
[contracts/README.md](../contracts/README.md). Some arguments mean the same everywhere:
`;

/** What an argument means unless the comments of an entry say more. */
const ARGUMENTS = {
  _sender_address: "the channel's sender",
  _receiver_address: "the channel's receiver",
  _open_block_number: "the number of the block that opened the channel",
  _deposit: "how much is deposited",
  _added_deposit: "how much is deposited on top",
  _balance: "all that the sender owes or claims to owe, what was withdrawn included",
  _balance_msg_sig: "the sender's balance proof: its signature of 65 bytes for `_balance`",
  _closing_sig: "the receiver's closing signature of 65 bytes for `_balance`",
};

/** The entries of each contract's ABI, in the order of a channel's life. */
const CONTRACTS = {
  RaidenMicroTransferChannels: {
    "Deployment and the owner":
      "constructor owner_address token challenge_period channel_deposit_bugbounty_limit version trusted_contracts " +
      "addTrustedContracts removeTrustedContracts TrustedContract " +
      "TokenWithoutCode TokenWithoutSupply ChallengePeriodTooShort NotOwner",
    "Open a channel":
      "createChannel createChannelDelegate tokenFallback ChannelCreated " +
      "DepositAboveLimit ChannelExists BlockNumberTooHigh NotTrusted NotToken NotFromSender InvalidDataLength",
    "Top up a channel": "topUp topUpDelegate ChannelToppedUp ZeroTopUp ChannelInChallenge",
    "Look at a channel": "getKey getChannelInfo channels closing_requests withdrawn_balances ChannelNotFound",
    "Sign balance proofs":
      "extractBalanceProofSignature extractClosingSignature " +
      "InvalidSignatureLength InvalidSignatureV InvalidSignatureS InvalidSignature",
    "Withdraw from a channel": "withdraw ChannelWithdraw NothingToWithdraw",
    "Close a channel":
      "cooperativeClose uncooperativeClose settle ChannelCloseRequested ChannelSettled ClosingSignerNotReceiver " +
      "BalanceAboveDeposit BalanceBelowWithdrawn ChannelNotInChallenge ChallengeNotOver SettledInOpenBlock",
    "The token, and calls from within":
      "TokenCallFailed TokenReturnedFalse TokenCreditedOther TokenDebitedMore ReentrantCall",
  },
  CustomToken: {
    "Deployment and description": "constructor name symbol decimals multiplier totalSupply version owner_address",
    "Mint tokens": "mint Minted MintTooCheap transferFunds NotOwner NoFunds OwnerRefusedFunds",
    "Hold and move tokens":
      "balanceOf transfer Transfer approve Approval allowance transferFrom " +
      "InvalidRecipient InvalidOwner BalanceTooLow AllowanceTooLow AllowanceNotSpent",
  },
};

/** The entry as Solidity declares it. */
function declaration({ type, name = "", inputs, outputs = [], stateMutability = "nonpayable" }) {
  const parameter = ({ type, indexed, name }) => [type, indexed && "indexed", name].filter(Boolean).join(" ");
  const list = (parameters) => parameters.map(parameter).join(", ");
  const mutability = stateMutability === "nonpayable" ? "" : ` ${stateMutability}`;
  const returns = outputs.length ? ` returns (${list(outputs)})` : "";
  return `${type} ${name}(${list(inputs)})${mutability}${returns}`.replace("constructor (", "constructor(");
}

function signature({ name, inputs }) {
  return `${name}(${inputs.map(({ type }) => type).join(",")})`;
}

/** How an entry is found in call data or logs. */
function identifier(entry) {
  if (entry.type === "constructor") return "";
  const hash = Buffer.from(keccak_256(Buffer.from(signature(entry)))).toString("hex");
  return entry.type === "event" ? `Topic \`0x${hash}\`.` : `Selector \`0x${hash.slice(0, 8)}\`.`;
}

/** What the comments say of an entry. */
function comments({ userdoc, devdoc }, entry) {
  const key = entry.type === "constructor" ? "constructor" : signature(entry);
  const find = ({ methods, events, errors }) => {
    if (entry.type === "error") return errors?.[key]?.[0];
    return (entry.type === "event" ? events : methods)?.[key];
  };
  const notice = find(userdoc)?.notice;
  if (!notice) throw new Error(`${entry.type} ${key} has no @notice`);
  return { notice, parameters: find(devdoc)?.params ?? {} };
}

/** A function, event or constructor. */
function section(contract, entry) {
  const { notice, parameters } = comments(contract, entry);
  const isTold = ({ name }) => !name || parameters[name] || ARGUMENTS[name] || notice.includes(`\`${name}\``);
  const untold = entry.inputs.find((input) => !isTold(input));
  if (untold) throw new Error(`nothing is said of ${untold.name} in ${signature(entry)}`);
  const list = entry.inputs
    .filter(({ name }) => parameters[name])
    .map(({ name }) => `- \`${name}\`: ${parameters[name]}`);
  return [
    `#### ${entry.name ?? "constructor"}`,
    `\`\`\`solidity\n${declaration(entry)}\n\`\`\``,
    [notice, identifier(entry)].filter(Boolean).join("\n\n"),
    list.join("\n"),
  ]
    .filter(Boolean)
    .join("\n\n");
}

/** The errors of a part. */
function errorTable(contract, errors) {
  if (!errors.length) return [];
  const rows = errors.map((entry) => {
    const text = declaration(entry).replace("error ", "");
    return `| \`${text}\` | ${comments(contract, entry).notice} | ${identifier(entry).replace(/Selector |\.$/g, "")} |`;
  });
  return [["| error | when | selector |", "|---|---|---|", ...rows].join("\n")];
}

/** One contract of the page; every entry of its ABI is in it once. */
function chapter(name, contract, sections) {
  const left = new Set(contract.abi);
  const parts = Object.entries(sections).map(([title, names]) => {
    const entries = names.split(" ").flatMap((wanted) => {
      const found = contract.abi.filter(({ type, name = type }) => name === wanted);
      if (!found.length) throw new Error(`${name} has no ${wanted}`);
      found.forEach((entry) => left.delete(entry));
      return found;
    });
    const [errors, others] = [true, false].map((wanted) => entries.filter(({ type }) => (type === "error") === wanted));
    const sections = others.map((entry) => section(contract, entry));
    return [`### ${title}`, ...sections, ...errorTable(contract, errors)].join("\n\n");
  });
  if (left.size) throw new Error(`${name}: no place for ${[...left].map(signature).join(", ")}`);
  return [`## ${name}`, contract.devdoc.title, ...parts].join("\n\n");
}

try {
  const compiled = compile();
  const chapters = Object.entries(CONTRACTS).map(([name, sections]) => chapter(name, compiled[name], sections));
  const common = Object.entries(ARGUMENTS).map(([name, meaning]) => `- \`${name}\`: ${meaning}.`);
  const page = `${[INTRODUCTION.trim(), common.join("\n"), ...chapters].join("\n\n")}\n`;
  if (!process.argv.includes("--check")) {
    writeFileSync(PAGE, page);
  } else if (readFileSync(PAGE, "utf8") !== page) {
    throw new Error("docs/contract-api.md is stale; run `node contracts/reference.mjs` and commit");
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
