// Closing a channel, with and without the receiver, settling it, and what the chain says of it at each step.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { signHash, typedDataHash } from "../../test-wallet.mjs";
import { closingMessage } from "../dist/index.js";
import { CHALLENGE, failure, setStage, stranger } from "./stage.mjs";

const stage = await setStage();
const { node, usual, read, closingSignature } = stage;

/** A sender with a channel of 100 that has paid 40 of it, which the receiver confirmed. */
async function paying(options) {
  const sender = await stage.opened({ deposit: 100n, tokens: 100n, ...options });
  sender.page.confirmPayment(await sender.page.incrementBalanceAndSign(40n));
  sender.wallet.requests.length = 0;
  return sender;
}

const holdings = ({ market }, { address }) => read(market.token, "balanceOf", [address]);

/** The receiver takes what is owed so far. */
async function withdraw({ page, address, receiver, market }, balance, sig) {
  await node.ask("anvil_setBalance", receiver.address, "0x8ac7230489e80000");
  await stage.transact(market.contract, "withdraw", [page.channel.block, balance, sig], receiver.key);
  assert.equal(await read(market.token, "balanceOf", [receiver.address]), balance, address);
}

const closeRequest = async ({ page, address, receiver, market }) => {
  const info = await read(market.contract, "getChannelInfo", [address, receiver.address, page.channel.block]);
  return { settleBlock: info[2], closingBalance: info[3] };
};

const isSettled = async ({ page }) => (await page.getChannelInfo()).state === "settled";

describe("closeChannel with the receiver's signature", () => {
  it("pays both at once, and the channel is settled", async () => {
    const sender = await paying();
    const { page, receiver } = sender;
    const closing = await closingSignature(sender, 40n);
    const hash = await page.closeChannel(closing);
    assert.equal(hash, sender.wallet.sent.at(-1));
    assert.deepEqual([await holdings(sender, sender), await holdings(sender, receiver)], [60n, 40n]);
    const receipt = await node.ask("eth_getTransactionReceipt", hash);
    assert.deepEqual(await page.getChannelInfo(), { state: "settled", block: Number(receipt.blockNumber), deposit: 0n, withdrawn: 0n });
    assert.ok(!sender.wallet.methods.includes("eth_signTypedData"), "what is signed is not signed again");
  });

  it("signs the balance first when it is not signed yet", async () => {
    const sender = await stage.opened({ tokens: 100n });
    const { page, receiver } = sender;
    page.setBalance(25n);
    await page.closeChannel(await closingSignature(sender, 25n));
    assert.equal(sender.wallet.methods.filter((method) => method === "eth_signTypedData").length, 1);
    assert.deepEqual([await holdings(sender, sender), await holdings(sender, receiver)], [75n, 25n]);
  });

  it("at balance 0 gives everything back", async () => {
    const sender = await stage.opened({ tokens: 100n });
    await sender.page.closeChannel(await closingSignature(sender, 0n));
    assert.equal(await holdings(sender, sender), 100n);
  });

  it("counts what the receiver has withdrawn", async () => {
    const sender = await paying();
    await withdraw(sender, 40n, sender.page.channel.proof.sig);
    sender.page.confirmPayment(await sender.page.incrementBalanceAndSign(10n));
    await sender.page.closeChannel(await closingSignature(sender, 50n));
    assert.deepEqual([await holdings(sender, sender), await holdings(sender, sender.receiver)], [50n, 50n]);
  });

  it("refuses a signature that is not the receiver's for this balance, and goes on without a trace of it", async () => {
    const sender = await paying();
    const { page, address } = sender;
    const before = sender.storage.content;
    const message = closingMessage(address, { block: page.channel.block, balance: 40n, contract: usual.contract.address });
    const wrong = [
      await closingSignature(sender, 39n),
      await signHash(stranger().key, typedDataHash(message)),
      await signHash(sender.key, typedDataHash(message)),
      page.channel.proof.sig,
      "0x",
      "nonsense",
    ];
    for (const signature of wrong) {
      await failure(page.closeChannel(signature), "invalid-signature", /^Invalid closing signature/);
      assert.deepEqual(sender.storage.content, before);
    }
    assert.deepEqual(sender.wallet.methods.filter((method) => method === "eth_sendTransaction"), []);
  });

  it("is kept, so that the close can be tried again without the receiver", async () => {
    const sender = await paying();
    const { page, wallet, storage, address, receiver } = sender;
    const closing = await closingSignature(sender, 40n);
    wallet.deny("eth_sendTransaction");
    await failure(page.closeChannel(closing), "user-denied", /^User denied: cooperativeClose$/);
    wallet.allow();
    const later = stage.openPage(wallet, { storage });
    await later.getChallengePeriod();
    assert.equal(later.loadStoredChannel(address, receiver.address), true);
    assert.equal(later.channel.closing_sig, closing);
    await later.closeChannel();
    assert.ok(await isSettled(sender));
    assert.equal(await holdings(sender, receiver), 40n);
  });

  it("is kept as long as the balance is the one it is for", async () => {
    const sender = await paying();
    const { page } = sender;
    const closing = await closingSignature(sender, 40n);
    const { proof } = page.channel;
    for (const change of [() => page.setBalance(41n), async () => page.confirmPayment(await page.incrementBalanceAndSign(1n))]) {
      page.setChannel({ ...page.channel, proof, closing_sig: closing });
      page.setBalance(40n);
      assert.equal(page.channel.closing_sig, closing);
      assert.equal(await page.verifyProof(proof), true);
      assert.equal(page.channel.closing_sig, closing);
      await change();
      assert.equal(page.channel.closing_sig, undefined);
    }
  });

  it("for a balance of before is of no use, and does not stand in the way of one that is", async () => {
    const sender = await paying();
    const { page } = sender;
    const stale = await closingSignature(sender, 40n);
    page.confirmPayment(await page.incrementBalanceAndSign(5n));
    page.setChannel({ ...page.channel, closing_sig: stale });
    await page.closeChannel(await closingSignature(sender, 45n));
    assert.equal(await holdings(sender, sender.receiver), 45n);
    const alone = await paying();
    const old = await closingSignature(alone, 40n);
    alone.page.confirmPayment(await alone.page.incrementBalanceAndSign(5n));
    alone.page.setChannel({ ...alone.page.channel, closing_sig: old });
    await alone.page.closeChannel();
    assert.equal((await closeRequest(alone)).closingBalance, 45n);
  });
});

describe("closeChannel on the sender's word", () => {
  it("begins the challenge period at the channel's balance", async () => {
    const sender = await paying();
    const { page } = sender;
    const hash = await page.closeChannel();
    const block = Number((await node.ask("eth_getTransactionReceipt", hash)).blockNumber);
    assert.deepEqual(await closeRequest(sender), { settleBlock: block + CHALLENGE, closingBalance: 40n });
    assert.deepEqual(await page.getChannelInfo(), { state: "closed", block, deposit: 100n, withdrawn: 0n });
  });

  it("is not below what was withdrawn: that would look like a lie", async () => {
    const sender = await paying();
    const { page } = sender;
    await withdraw(sender, 40n, page.channel.proof.sig);
    page.setBalance(7n);
    assert.equal((await page.getChannelInfo()).withdrawn, 40n);
    await page.closeChannel();
    assert.equal((await closeRequest(sender)).closingBalance, 40n);
  });

  it("above the deposit is refused by the contract, and nothing is sent", async () => {
    const sender = await paying();
    sender.page.setBalance(101n);
    await failure(sender.page.closeChannel(), "transaction-failed", /^uncooperativeClose has failed: .*BalanceAboveDeposit/s);
    assert.ok(!sender.wallet.methods.includes("eth_sendTransaction"));
  });

  it("is refused twice", async () => {
    const sender = await paying();
    await sender.page.closeChannel();
    for (const signature of [undefined, await closingSignature(sender, 40n)]) {
      await failure(sender.page.closeChannel(signature), "wrong-state", /^Tried closing already closed channel$/);
    }
    await node.mine(CHALLENGE + 1);
    await sender.page.settleChannel();
    await failure(sender.page.closeChannel(), "wrong-state", /already closed/);
  });

  it("changes nothing when the user says no", async () => {
    const sender = await paying();
    const before = sender.storage.content;
    sender.wallet.deny("eth_sendTransaction");
    await failure(sender.page.closeChannel(), "user-denied", /^User denied: uncooperativeClose$/);
    assert.deepEqual(sender.storage.content, before);
    assert.equal((await sender.page.getChannelInfo()).state, "opened");
  });
});

describe("settleChannel", () => {
  it("waits for the end of the challenge period, to the block", async (t) => {
    const sender = await paying();
    const { page } = sender;
    await page.closeChannel();
    await node.hold(t);
    const { block } = await page.getChannelInfo();
    const over = block + CHALLENGE;
    await node.mine(over - 1 - (await node.blockNumber()));
    const early = failure(page.settleChannel(), "inside-challenge-period");
    assert.equal((await early).message, `Tried settling inside challenge period: ${over - 1} < ${over}`);
    await node.mine(1);
    const settling = page.settleChannel();
    // Once it waits to be mined, it is.
    while (sender.wallet.sent.length < 3) await Promise.race([settling, new Promise((resolve) => setTimeout(resolve, 10))]);
    await node.mine(1);
    assert.equal(await settling, sender.wallet.sent.at(-1));
    const info = await page.getChannelInfo();
    assert.deepEqual(info, { state: "settled", block: over + 1, deposit: 0n, withdrawn: 0n });
    assert.deepEqual([await holdings(sender, sender), await holdings(sender, sender.receiver)], [60n, 40n]);
  });

  it("of a channel that is open, or settled, is refused", async () => {
    const sender = await paying();
    await failure(sender.page.settleChannel(), "wrong-state", /^Tried settling opened or settled channel: opened$/);
    await sender.page.closeChannel(await closingSignature(sender, 40n));
    await failure(sender.page.settleChannel(), "wrong-state", /^Tried settling opened or settled channel: settled$/);
  });

  it("also works on a page that has just been loaded", async () => {
    const sender = await paying();
    await sender.page.closeChannel();
    await node.mine(CHALLENGE + 1);
    const later = stage.openPage(sender.wallet, { storage: sender.storage });
    assert.equal(later.loadStoredChannel(sender.address, sender.receiver.address), true);
    await later.settleChannel();
    assert.ok(await isSettled(sender));
  });
});

describe("getChannelInfo", () => {
  it("of a channel that was never there says so", async () => {
    const sender = await stage.opened();
    const { channel } = sender.page;
    const unknown = [
      { ...channel, block: channel.block - 1 },
      { ...channel, receiver: stranger().address },
      { ...channel, account: stranger().address },
    ];
    for (const other of unknown) await failure(sender.page.getChannelInfo(other), "channel-not-found", /^Invalid channel deposit: /);
    assert.equal((await sender.page.getChannelInfo(channel)).deposit, 100n);
  });

  it("tells a node that fails from a channel that is not there", async () => {
    const sender = await stage.opened();
    sender.wallet.fail("eth_call", -32603, "the node is on fire");
    await failure(sender.page.getChannelInfo(), "provider-failed", /on fire/);
  });
});
