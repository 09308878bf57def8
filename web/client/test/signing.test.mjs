// Paying: signing balances with wallets of all kinds, and what the receiver says of them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DENIED, UNSUPPORTED, signHash, typedDataHash } from "../../test-wallet.mjs";
import { InsufficientFundsError, MAX_AMOUNT, balanceProof, signer } from "../dist/index.js";
import { failure, setStage, stranger } from "./stage.mjs";

const stage = await setStage();
const { node, usual } = stage;

const entriesOf = ({ page }, balance) =>
  balanceProof(page.channel.receiver, { block: page.channel.block, balance, contract: usual.contract.address });
const signs = async (sender, { balance, sig }) => assert.equal(await signer(entriesOf(sender, balance), sig), sender.address);
const stored = ({ storage, address, receiver }) => storage.content[`${address}|${receiver.address}`];

/** A sender with a channel that only this page knows: for what does not ask the chain. */
async function imagined(options) {
  const sender = await stage.sender({ tokens: 0n, ...options });
  sender.page.setChannel({ account: sender.address, receiver: sender.receiver.address, block: 77, proof: { balance: 0n } });
  return sender;
}

describe("incrementBalanceAndSign", () => {
  it("signs what is owed in all, and keeps it before the page has it", async () => {
    const sender = await stage.opened({ deposit: 100n });
    const { page } = sender;
    const proof = await page.incrementBalanceAndSign(30n);
    assert.equal(proof.balance, 30n);
    await signs(sender, proof);
    assert.deepEqual(stored(sender).next_proof, { balance: "30", sig: proof.sig });
    assert.deepEqual(page.channel.proof, { balance: 0n }, "what is not confirmed is not owed yet");
    page.confirmPayment(proof);
    const next = await page.incrementBalanceAndSign(70n);
    assert.equal(next.balance, 100n, "to the last unit of the deposit");
    assert.deepEqual(sender.wallet.methods.filter((method) => method.startsWith("eth_sign")), Array(2).fill("eth_signTypedData"));
  });

  it("asks the wallet as those of 2018 were asked", async () => {
    const sender = await stage.opened();
    await sender.page.incrementBalanceAndSign(30n);
    const { params } = sender.wallet.requests.find(({ method }) => method === "eth_signTypedData");
    assert.deepEqual(params, [entriesOf(sender, 30n), sender.address]);
    assert.ok(params[0].every(({ value }) => typeof value === "string"));
  });

  it("does not sign more than the deposit, and says how much is missing", async () => {
    const sender = await stage.opened({ deposit: 100n });
    const error = await failure(sender.page.incrementBalanceAndSign(101n), "insufficient-funds");
    assert.ok(error instanceof InsufficientFundsError);
    assert.deepEqual([error.current, error.required], [100n, 101n]);
    assert.equal(error.message, "Insuficient funds: current = 100 , required = 101");
    assert.ok(!sender.wallet.methods.includes("eth_signTypedData"));
    await sender.page.topUpChannel(1n);
    assert.equal((await sender.page.incrementBalanceAndSign(101n)).balance, 101n);
  });

  it("is exact above 2^53", async () => {
    const deposit = 9_007_199_254_740_993n;
    const sender = await stage.opened({ deposit });
    const { page } = sender;
    page.confirmPayment(await page.incrementBalanceAndSign(deposit - 2n));
    const proof = await page.incrementBalanceAndSign(1n);
    assert.equal(proof.balance, deposit - 1n);
    assert.equal(stored(sender).next_proof.balance, "9007199254740992");
    await signs(sender, proof);
    const error = await failure(page.incrementBalanceAndSign(3n), "insufficient-funds");
    assert.deepEqual([error.current, error.required], [deposit, deposit + 1n]);
  });

  it("signs nothing added, to learn from the receiver what is owed; but nothing less", async () => {
    const sender = await stage.opened();
    sender.page.setBalance(10n);
    const proof = await sender.page.incrementBalanceAndSign(0n);
    assert.equal(proof.balance, 10n);
    await signs(sender, proof);
    await failure(sender.page.incrementBalanceAndSign(-1n), "invalid-amount");
  });

  it("signs nothing for a channel that is being closed, is settled, or was never there", async () => {
    const sender = await stage.opened();
    const { page, receiver } = sender;
    await page.closeChannel();
    await failure(page.incrementBalanceAndSign(1n), "wrong-state", /^Tried signing on closed channel$/);
    await node.mine(502);
    await page.settleChannel();
    await failure(page.incrementBalanceAndSign(1n), "wrong-state", /^Tried signing on closed channel$/);
    page.setChannel({ account: sender.address, receiver: receiver.address, block: 1, proof: { balance: 0n } });
    await failure(page.incrementBalanceAndSign(1n), "channel-not-found");
    assert.ok(!sender.wallet.methods.includes("eth_signTypedData"));
  });

  it("gives what was signed for this balance already, without asking again", async () => {
    const sender = await stage.opened();
    const [first, again] = [await sender.page.incrementBalanceAndSign(5n), await sender.page.incrementBalanceAndSign(5n)];
    assert.deepEqual(first, again);
    assert.equal(sender.wallet.methods.filter((method) => method === "eth_signTypedData").length, 1);
    const other = await sender.page.incrementBalanceAndSign(6n);
    assert.notEqual(other.sig, first.sig);
  });
});

describe("signNewProof", () => {
  it("without a proof signs the channel's own balance, and keeps that as its proof", async () => {
    const sender = await imagined();
    sender.page.setBalance(9n);
    const proof = await sender.page.signNewProof();
    await signs(sender, proof);
    assert.deepEqual(sender.page.channel.proof, proof);
    assert.deepEqual(stored(sender).proof, { balance: "9", sig: proof.sig });
  });

  it("of what has a signature gives it back", async () => {
    const sender = await imagined();
    const proof = { balance: 3n, sig: `0x${"11".repeat(65)}` };
    assert.deepEqual(await sender.page.signNewProof(proof), proof);
    assert.deepEqual(sender.wallet.methods.filter((method) => method.includes("sign")), []);
  });

  it("leaves everything as it was when the user says no", async () => {
    const sender = await imagined();
    const before = sender.storage.content;
    sender.wallet.deny("eth_signTypedData");
    const error = await failure(sender.page.signNewProof({ balance: 5n }), "user-denied", /^User denied: eth_signTypedData$/);
    assert.equal(error.cause.code, DENIED);
    assert.deepEqual(sender.storage.content, before);
    assert.ok(!sender.wallet.methods.includes("personal_sign"), "who said no is not asked again in other words");
  });

  it("knows a no without a code by its words", async () => {
    for (const words of ["MetaMask Message Signature: User denied message signature.", "User rejected the request", "Rejected by user"]) {
      const sender = await imagined();
      sender.wallet.fail("eth_signTypedData", -32000, words);
      await failure(sender.page.signNewProof({ balance: 5n }), "user-denied");
    }
  });

  it("refuses what another key signed, or the same key over something else", async () => {
    const other = stranger();
    const wrong = [
      (entries) => signHash(other.key, typedDataHash(entries)),
      (entries, sender) => signHash(sender.key, typedDataHash(entries.with(3, { ...entries[3], value: "6" }))),
      () => "0x",
      () => `0x${"00".repeat(65)}`,
      () => null,
      () => ({ signature: "0x" }),
    ];
    for (const answer of wrong) {
      const sender = await imagined();
      const before = sender.storage.content;
      sender.wallet.answer("eth_signTypedData", (entries) => answer(entries, sender));
      await failure(sender.page.signNewProof({ balance: 5n }), "invalid-signature", /^Invalid recovered signature: .* instead of 0x/);
      assert.deepEqual(sender.storage.content, before);
    }
  });

  it("signs the bare hash with a wallet that knows no typed data and adds no prefix", async () => {
    const raw = (sender) => (hash) => signHash(sender.key, hash);
    for (const code of [UNSUPPORTED, 4200, -32004]) {
      const sender = await imagined();
      sender.wallet.fail("eth_signTypedData", code);
      sender.wallet.answer("personal_sign", raw(sender));
      await signs(sender, await sender.page.signNewProof({ balance: 5n }));
    }
    const old = await imagined();
    for (const method of ["eth_signTypedData", "personal_sign"]) old.wallet.fail(method, UNSUPPORTED);
    old.wallet.answer("eth_sign", (address, hash) => signHash(old.key, hash));
    await signs(old, await old.page.signNewProof({ balance: 5n }));
    const { params } = old.wallet.requests.find(({ method }) => method === "eth_sign");
    assert.deepEqual(params, [old.address, typedDataHash(entriesOf(old, 5n))]);
  });

  it("refuses a wallet that puts a prefix before the hash: the contract would not know the signature", async () => {
    const sender = await imagined();
    const before = sender.storage.content;
    sender.wallet.fail("eth_signTypedData", UNSUPPORTED);
    await failure(sender.page.signNewProof({ balance: 5n }), "invalid-signature", /eth_signTypedData version 1/);
    assert.deepEqual(sender.storage.content, before);
  });

  it("does not fall back when the wallet fails for another reason", async () => {
    const sender = await imagined();
    sender.wallet.fail("eth_signTypedData", -32603, "the device is locked");
    await failure(sender.page.signNewProof({ balance: 5n }), "provider-failed", /eth_signTypedData has failed: the device is locked/);
    assert.ok(!sender.wallet.methods.includes("personal_sign"));
  });

  it("refuses a balance that no channel can have, before the wallet is asked", async () => {
    const sender = await imagined();
    for (const balance of [-1n, MAX_AMOUNT + 1n]) await failure(sender.page.signNewProof({ balance }), "invalid-amount");
    assert.ok(!sender.wallet.methods.includes("eth_signTypedData"));
  });

  it("does not keep a signature for a channel that is not current any more", async () => {
    const sender = await imagined();
    const { page, wallet } = sender;
    const other = { ...page.channel, block: 78 };
    wallet.answer("eth_signTypedData", (entries) => {
      page.setChannel(other);
      return signHash(sender.key, typedDataHash(entries));
    });
    await failure(page.signNewProof({ balance: 5n }), "no-channel", /changed while the wallet was asked/);
    assert.deepEqual(page.channel, other);
  });

  it("keeps what was confirmed while the wallet was asked", async () => {
    const sender = await imagined();
    const { page, wallet } = sender;
    const first = await page.signNewProof({ balance: 5n });
    wallet.answer("eth_signTypedData", (entries) => {
      page.confirmPayment(first);
      return signHash(sender.key, typedDataHash(entries));
    });
    const second = await page.signNewProof({ balance: 8n });
    assert.deepEqual([page.channel.proof, page.channel.next_proof], [first, second]);
  });

  it("gives nothing away when it cannot be kept", async () => {
    const sender = await imagined();
    sender.storage.setItem = () => {
      throw new Error("the storage is full");
    };
    await assert.rejects(sender.page.signNewProof({ balance: 5n }));
    assert.equal(sender.page.channel.next_proof, undefined);
  });
});

describe("signMessage", () => {
  it("signs text as bytes, and hex as what it is", async () => {
    const sender = await imagined();
    await sender.page.signMessage("µ");
    await sender.page.signMessage("0xc2b5");
    const asked = sender.wallet.requests.filter(({ method }) => method === "personal_sign").map(({ params }) => params);
    assert.deepEqual(asked, Array(2).fill(["0xc2b5", sender.address]));
    sender.wallet.deny("personal_sign");
    await failure(sender.page.signMessage("hello"), "user-denied");
    assert.ok(!sender.wallet.methods.includes("eth_sign"));
  });
});

describe("what the receiver says", () => {
  it("confirmPayment makes the last signed proof the channel's, once", async () => {
    const sender = await imagined();
    const { page } = sender;
    const proof = await page.signNewProof({ balance: 5n });
    page.confirmPayment(proof);
    assert.deepEqual(page.channel.proof, proof);
    assert.equal(page.channel.next_proof, undefined);
    assert.equal(stored(sender).next_proof, undefined);
    assert.deepEqual(stored(sender).proof, { balance: "5", sig: proof.sig });
    await failure(() => page.confirmPayment(proof), "invalid-proof", /^Invalid provided or stored next signature$/);
  });

  it("confirmPayment refuses any other proof", async () => {
    const { page } = await imagined();
    await failure(() => page.confirmPayment({ balance: 5n }), "invalid-proof");
    const first = await page.signNewProof({ balance: 5n });
    await page.signNewProof({ balance: 6n });
    const before = page.channel;
    await failure(() => page.confirmPayment(first), "invalid-proof");
    await failure(() => page.confirmPayment({ balance: 6n }), "invalid-proof");
    assert.deepEqual(page.channel, before);
  });

  it("confirmPayment believes the balance that was signed, not the one that is told", async () => {
    const { page } = await imagined();
    const proof = await page.signNewProof({ balance: 5n });
    page.confirmPayment({ balance: 500n, sig: proof.sig });
    assert.deepEqual(page.channel.proof, proof);
  });

  it("verifyProof takes what the sender has signed and nothing else", async () => {
    const sender = await imagined();
    const { page } = sender;
    const proof = await page.signNewProof({ balance: 5n });
    page.setBalance(0n);
    const other = await signHash(stranger().key, typedDataHash(entriesOf(sender, 5n)));
    for (const wrong of [{ balance: 5n }, { ...proof, balance: 6n }, { balance: 5n, sig: other }, { balance: 5n, sig: "0x" }, { balance: 5n, sig: "no" }]) {
      assert.equal(await page.verifyProof(wrong), false);
      assert.deepEqual(page.channel.proof, { balance: 0n });
    }
    assert.equal(await page.verifyProof(proof), true);
    assert.deepEqual(page.channel.proof, proof);
    assert.deepEqual(stored(sender).proof, { balance: "5", sig: proof.sig });
  });

  it("verifyProof of a balance that no channel can have is false", async () => {
    const { page } = await imagined();
    const { sig } = await page.signNewProof({ balance: 5n });
    for (const balance of [-1n, MAX_AMOUNT + 1n]) assert.equal(await page.verifyProof({ balance, sig }), false);
  });

  it("setBalance takes a balance without a proof, and drops what was signed", async () => {
    const sender = await imagined();
    const { page } = sender;
    await page.signNewProof({ balance: 5n });
    page.setBalance(2n ** 60n + 1n);
    assert.deepEqual(page.channel.proof, { balance: 2n ** 60n + 1n });
    assert.equal(page.channel.next_proof, undefined);
    assert.deepEqual(stored(sender).proof, { balance: "1152921504606846977" });
    for (const balance of [-1n, MAX_AMOUNT + 1n]) await failure(() => page.setBalance(balance), "invalid-amount");
    assert.deepEqual(page.channel.proof, { balance: 2n ** 60n + 1n });
  });
});
