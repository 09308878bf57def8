// Shows that the Solidity tests bite: each mutant breaks one rule of a contract, in a copy, and the tests of the entry
// point that it breaks must fail. Compiled without the optimizer, which is faster and changes no behaviour.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { forge } from "./forge.mjs";

const CHANNELS = "RaidenMicroTransferChannels.sol";

/** Name, file, what stands there (once), what the mutant has instead, and the tests that must notice. */
const MUTANTS = [
  ["the high form of a signature counts", "ECVerify.sol", "if (uint256(s) > HIGHEST_S) revert InvalidSignatureS(uint256(s));", "", "Signatures"],
  ["any v counts", "ECVerify.sol", "if (v != 0 && v != 1 && v != 27 && v != 28) revert InvalidSignatureV(v);", "", "Signatures"],
  ["an impossible signature has a signer", "ECVerify.sol", "if (signer == address(0)) revert InvalidSignature();", "", "Signatures"],
  ["a balance proof names no contract", CHANNELS, `"Sender balance proof signature", _receiver_address, _open_block_number, _balance, address(this)`, `"Sender balance proof signature", _receiver_address, _open_block_number, _balance, address(0)`, "Signatures"],
  ["any challenge period will do", CHANNELS, "if (_challenge_period < MINIMUM_CHALLENGE_PERIOD) {", "if (false) {", "Constructor"],
  ["anybody says whom to trust", CHANNELS, "if (msg.sender != owner_address) revert NotOwner(msg.sender);", "", "TrustedContracts"],
  ["anybody is a delegate", CHANNELS, "if (!trusted_contracts[msg.sender]) revert NotTrusted(msg.sender);", "", "Delegates"],
  ["anybody is the token", CHANNELS, "if (msg.sender != address(token)) revert NotToken(msg.sender);", "", "TokenFallback"],
  ["anybody's tokens open a channel", CHANNELS, "revert NotFromSender(_sender_address, sender);", "", "TokenFallback"],
  ["a pair opens twice in a block", CHANNELS, "if (channel.open_block_number != 0) revert ChannelExists(_sender, _receiver, open_block_number);", "", "CreateChannel"],
  ["block numbers are cut", CHANNELS, "if (_number > type(uint32).max) revert BlockNumberTooHigh(_number);", "", "CreateChannel"],
  ["a top-up passes the limit", CHANNELS, "if (deposit > channel_deposit_bugbounty_limit) {", "if (false) {", "TopUp"],
  ["a top-up comes during the challenge", CHANNELS, "if (settle_block_number != 0) revert ChannelInChallenge(settle_block_number);\n        uint256 deposit", "uint256 deposit", "TopUp"],
  ["a withdrawal comes during the challenge", CHANNELS, "if (settle_block_number != 0) revert ChannelInChallenge(settle_block_number);\n        if (_balance", "if (_balance", "Withdraw"],
  ["a withdrawal is not booked", CHANNELS, "withdrawn_balances[key] = _balance;", "", "Withdraw"],
  ["a withdrawal is repeated", CHANNELS, "if (_balance <= withdrawn)", "if (_balance < withdrawn)", "Withdraw"],
  ["a withdrawal passes the deposit", CHANNELS, "if (_balance > deposit) revert BalanceAboveDeposit(_balance, deposit);\n        uint192 withdrawn = withdrawn_balances[key];", "uint192 withdrawn = withdrawn_balances[key];", "Withdraw"],
  ["the closing signature is anybody's", CHANNELS, "if (signer != _receiver_address) revert ClosingSignerNotReceiver(signer, _receiver_address);", "", "CooperativeClose"],
  ["a settlement passes the deposit", CHANNELS, "if (_balance > deposit) revert BalanceAboveDeposit(_balance, deposit);\n        uint192 withdrawn = withdrawn_balances[_key];", "uint192 withdrawn = withdrawn_balances[_key];", "CooperativeClose"],
  ["a channel ends in the block that opened it", CHANNELS, "if (block.number == _open_block_number) revert SettledInOpenBlock(_open_block_number);", "", "CooperativeClose"],
  ["what was withdrawn is paid again", CHANNELS, "pay(_receiver, _balance - withdrawn);", "pay(_receiver, _balance);", "CooperativeClose"],
  ["a settled channel is not forgotten", CHANNELS, "delete channels[_key];", "", "CooperativeClose"],
  ["a second close replaces the first", CHANNELS, "if (request.settle_block_number != 0) revert ChannelInChallenge(request.settle_block_number);", "", "UncooperativeClose"],
  ["a claim passes the deposit", CHANNELS, "if (_balance > deposit) revert BalanceAboveDeposit(_balance, deposit);\n\n        request.", "request.", "UncooperativeClose"],
  ["settling begins in the last block of the challenge", CHANNELS, "if (block.number <= request.settle_block_number) {", "if (block.number < request.settle_block_number) {", "Settle"],
  ["a claim below what was withdrawn locks the deposit", CHANNELS, "request.closing_balance < withdrawn ? withdrawn : request.closing_balance", "request.closing_balance", "Settle"],
  ["there is no lock", CHANNELS, "if (locked) revert ReentrantCall();", "", "Reentrancy"],
  ["a deposit is not measured", CHANNELS, "if (holdings_after != holdings_before + _amount) {", "if (false) {", "MisbehavingTokens"],
  ["a payment is not measured", CHANNELS, "if (_holdings_before > holdings_after + _stated) {", "if (false) {", "MisbehavingTokens"],
  ["false counts as success", CHANNELS, "if (result.length != 0 && !abi.decode(result, (bool))) revert TokenReturnedFalse();", "", "MisbehavingTokens"],
];

const CONTRACTS = fileURLToPath(new URL(".", import.meta.url));
const ROOT = path.dirname(CONTRACTS.replace(/[/\\]$/, ""));
const COPIES = path.join(ROOT, "target", "mutants");
const ENVIRONMENT = { FOUNDRY_OPTIMIZER: "false", FOUNDRY_DENY: "never", FOUNDRY_FUZZ_RUNS: "64" };

/** A copy of what forge needs, below the repository since npm's solc is looked for upwards. */
function copy() {
  mkdirSync(COPIES, { recursive: true });
  const root = mkdtempSync(path.join(COPIES, "copy-"));
  const folder = path.join(root, "contracts");
  const invariants = path.join(CONTRACTS, "test", "forge", "invariant");
  for (const part of ["src", "test/forge", "foundry.toml", "solc.mjs"]) {
    const options = { recursive: true, filter: (source) => source !== invariants };
    cpSync(path.join(CONTRACTS, part), path.join(folder, part), options);
  }
  cpSync(path.join(ROOT, "tests", "vectors"), path.join(root, "tests", "vectors"), { recursive: true });
  return folder;
}

/** Runs the tests on a copy after `change` and gives those that failed. */
async function failures(options, change) {
  const folder = copy();
  try {
    change(folder);
    const { code, printed } = await forge(["test", ...options], { folder, stdio: "pipe", environment: ENVIRONMENT });
    assert.match(printed, /^Suite result: /m, `no test ran:\n${printed}`);
    const failed = [...new Set([...printed.matchAll(/^\[FAIL.*\] (test\w+)\(/gm)].map(([, name]) => name))];
    assert.equal(code === 0, failed.length === 0, printed);
    return failed;
  } finally {
    rmSync(path.dirname(folder), { recursive: true, force: true });
  }
}

/** Replaces in a file what must stand there exactly once. */
function patch(file, from, to) {
  const parts = readFileSync(file, "utf8").split(from);
  assert.equal(parts.length, 2, `stands ${parts.length - 1} times in ${path.basename(file)}, so the mutant has to be written anew: ${from}`);
  writeFileSync(file, parts.join(to));
}

describe("mutants", { concurrency: availableParallelism() }, () => {
  after(() => rmSync(COPIES, { recursive: true, force: true }));

  it("the sources as they are pass", async () => {
    assert.deepEqual(await failures([], () => {}), []);
  });

  for (const [name, file, from, to, suite] of MUTANTS) {
    it(`is killed: ${name}`, async (test) => {
      const killers = await failures(["--match-path", `test/forge/${suite}.t.sol`], (folder) =>
        patch(path.join(folder, "src", file), from, to),
      );
      assert.notEqual(killers.length, 0, `the tests of ${suite} do not notice`);
      test.diagnostic(`${suite}: ${killers.join(", ")}`);
    });
  }
});
