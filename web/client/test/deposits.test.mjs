// Opening a channel and topping it up, with tokens of several kinds.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { CustomToken } from "../../test-contracts.mjs";
import { failure, setStage, stranger } from "./stage.mjs";
import { GrudgingToken, PlainToken } from "./tokens.mjs";

const stage = await setStage();
const { node, usual, read } = stage;

const plain = await stage.market(PlainToken, [10n ** 30n, 6]);
const grudging = await stage.market(GrudgingToken, [10n ** 30n]);

/** The functions that were called by transactions, as their selectors. */
const selectors = ({ wallet }) =>
  wallet.requests.filter(({ method }) => method === "eth_sendTransaction").map(({ params }) => params[0].data.slice(0, 10));

const [TRANSFER, APPROVE, CREATE, TOP_UP] = ["0xbe45fd62", "0x095ea7b3", "0xa6d15963", "0x016a8cf6"];

const depositOnChain = async ({ page, address, receiver, market }) => {
  const args = [address, receiver.address, page.channel.block];
  return (await read(market.contract, "getChannelInfo", args))[1];
};

describe("openChannel", () => {
  it("by ERC223 makes one transaction, and a current channel at balance 0 that is kept", async () => {
    const sender = await stage.sender();
    const { page, address, receiver, storage } = sender;
    const before = await node.blockNumber();
    await page.openChannel(address, receiver.address, 100n);
    assert.deepEqual(selectors(sender), [TRANSFER]);
    const { channel } = page;
    assert.ok(channel.block > before);
    assert.deepEqual(channel, { account: address, receiver: receiver.address, block: channel.block, proof: { balance: 0n } });
    assert.equal(await depositOnChain(sender), 100n);
    assert.ok((await node.blockNumber()) > channel.block, "a block lies above");
    const again = stage.openPage(sender.wallet, { storage });
    await again.getChallengePeriod();
    assert.equal(again.loadStoredChannel(address, receiver.address), true);
    assert.deepEqual(again.channel, channel);
    assert.deepEqual(await page.getChannelInfo(), { state: "opened", block: channel.block, deposit: 100n, withdrawn: 0n });
  });

  it("by ERC20, where the ABI has no transfer with data, approves and creates", async () => {
    const tokenAbi = CustomToken.abi.filter(({ name, inputs }) => name !== "transfer" || inputs.length === 2);
    const sender = await stage.sender({ tokenAbi });
    await sender.page.openChannel(sender.address, sender.receiver.address, 100n);
    assert.deepEqual(selectors(sender), [APPROVE, CREATE]);
    assert.equal(await depositOnChain(sender), 100n);
  });

  it("by ERC20, where the token lacks what its ABI has", async () => {
    const sender = await stage.sender({ market: plain });
    await sender.page.openChannel(sender.address, sender.receiver.address, 100n);
    assert.deepEqual(selectors(sender), [APPROVE, CREATE]);
    assert.equal(await depositOnChain(sender), 100n);
  });

  it("uses an allowance that is there", async () => {
    const sender = await stage.sender({ market: plain });
    await stage.transact(plain.token, "approve", [plain.contract.address, 150n], sender.key);
    await sender.page.openChannel(sender.address, sender.receiver.address, 150n);
    assert.deepEqual(selectors(sender), [CREATE]);
    assert.equal(await depositOnChain(sender), 150n);
  });

  it("takes an allowance that is too small back first, as some tokens demand", async () => {
    const sender = await stage.sender({ market: grudging });
    await stage.transact(grudging.token, "approve", [grudging.contract.address, 5n], sender.key);
    await sender.page.openChannel(sender.address, sender.receiver.address, 150n);
    assert.deepEqual(selectors(sender), [APPROVE, APPROVE, CREATE]);
    assert.equal(await depositOnChain(sender), 150n);
    assert.equal(await read(grudging.token, "allowance", [sender.address, grudging.contract.address]), 0n);
  });

  it("opens a second channel to the same receiver, which becomes the current one", async () => {
    const sender = await stage.opened();
    const first = sender.page.channel.block;
    await sender.page.openChannel(sender.address, sender.receiver.address, 30n);
    assert.ok(sender.page.channel.block > first);
    assert.equal(await depositOnChain(sender), 30n);
  });

  it("refuses before anything is sent when there are not enough tokens", async () => {
    const sender = await stage.sender({ tokens: 1_500_000_000_000_000_000n });
    const opening = () => sender.page.openChannel(sender.address, sender.receiver.address, 2n * 10n ** 18n);
    await failure(opening, "not-enough-tokens", /^Not enough tokens\. Token balance = 1\.5 , required = 2$/);
    assert.equal(sender.page.channel, undefined);
    assert.deepEqual(sender.wallet.sent, []);
  });

  it("refuses a deposit of nothing, or of less", async () => {
    const sender = await stage.sender();
    for (const deposit of [0n, -1n]) {
      await failure(sender.page.openChannel(sender.address, sender.receiver.address, deposit), "invalid-amount", /more than 0/);
    }
    assert.deepEqual(sender.wallet.sent, []);
  });

  it("refuses what the contract would not take, without asking for an approval of it", async () => {
    const limit = await read(usual.contract, "channel_deposit_bugbounty_limit");
    for (const market of [usual, plain]) {
      const sender = await stage.sender({ market, tokens: 2n * limit });
      const opening = () => sender.page.openChannel(sender.address, sender.receiver.address, limit + 1n);
      await failure(opening, "invalid-amount", /^A channel's deposit is at most 100(000000000000)? .*$/);
      assert.deepEqual(sender.wallet.sent, []);
      await sender.page.openChannel(sender.address, sender.receiver.address, limit);
      assert.equal(await depositOnChain(sender), limit);
    }
  });

  it("leaves nothing behind when the user says no", async () => {
    const sender = await stage.sender();
    sender.wallet.deny("eth_sendTransaction");
    await failure(sender.page.openChannel(sender.address, sender.receiver.address, 100n), "user-denied", /^User denied: transfer/);
    assert.equal(sender.page.channel, undefined);
    assert.equal(sender.storage.length, 0);
    sender.wallet.allow();
    await sender.page.openChannel(sender.address, sender.receiver.address, 100n);
    assert.equal(await depositOnChain(sender), 100n);
  });

  it("goes on with the approval that was given when the user says no to the second transaction only", async () => {
    const sender = await stage.sender({ market: plain });
    const { wallet, page } = sender;
    const send = (transaction) => {
      if (transaction.data.startsWith(CREATE)) throw Object.assign(new Error("User rejected the request."), { code: 4001 });
      wallet.allow("eth_sendTransaction");
      const sending = wallet.request({ method: "eth_sendTransaction", params: [transaction] });
      wallet.answer("eth_sendTransaction", send);
      return sending;
    };
    wallet.answer("eth_sendTransaction", send);
    await failure(page.openChannel(sender.address, sender.receiver.address, 100n), "user-denied");
    wallet.allow();
    wallet.requests.length = 0;
    await page.openChannel(sender.address, sender.receiver.address, 100n);
    assert.deepEqual(selectors(sender), [CREATE]);
  });

  it("says why when there is no ether for gas", async () => {
    const sender = await stage.sender({ ether: "0" });
    const error = await failure(sender.page.openChannel(sender.address, sender.receiver.address, 100n), "provider-failed");
    assert.match(error.message, /funds|balance/i);
    assert.equal(sender.page.channel, undefined);
  });
});

describe("a transaction", () => {
  it("is told of as soon as the wallet has sent it", async () => {
    const hashes = [];
    const sender = await stage.sender({ market: plain, onTransaction: (hash) => hashes.push(hash) });
    await sender.page.openChannel(sender.address, sender.receiver.address, 100n);
    assert.equal(hashes.length, 2);
    assert.deepEqual(hashes, sender.wallet.sent);
  });

  it("that is mined and fails is told as such", async (t) => {
    const sender = await stage.sender({ market: await stage.market() });
    await node.hold(t);
    const opening = failure(sender.page.openChannel(sender.address, sender.receiver.address, 100n), "transaction-failed", /mined and has failed/);
    await lookedAt(sender, 1);
    // Meanwhile the contract has changed its mind: PUSH0 PUSH0 REVERT.
    await node.ask("anvil_setCode", sender.market.contract.address, "0x5f5ffd");
    await mineUntil(opening);
    assert.equal(sender.page.channel, undefined);
  });

  it("that the user speeds up is waited for under its new name", async (t) => {
    const sender = await stage.sender();
    await node.hold(t);
    const opening = sender.page.openChannel(sender.address, sender.receiver.address, 100n);
    await lookedAt(sender, 1);
    await sender.wallet.replace(sender.wallet.sent[0]);
    await mineUntil(opening);
    assert.equal(await depositOnChain(sender), 100n);
  });

  it("that the user cancels is not taken for done", async (t) => {
    const sender = await stage.opened();
    await node.hold(t);
    const topUp = failure(sender.page.topUpChannel(10n), "transaction-failed", /replaced|cancelled/);
    await lookedAt(sender, 2);
    const cancelled = { to: sender.address, data: "0x", value: 0n };
    await sender.wallet.replace(sender.wallet.sent.at(-1), cancelled);
    await mineUntil(topUp);
    assert.equal(await depositOnChain(sender), 100n);
  });
});

/** Waits until the wallet has sent so many transactions in all, and the page has found the last one to be waiting. */
async function lookedAt({ wallet }, count) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const hash = wallet.sent[count - 1];
    const asked = wallet.requests.filter(({ params }) => hash && params[0] === hash).map(({ method }) => method);
    // It asks for the receipt again once it knows the transaction.
    const looked = asked.indexOf("eth_getTransactionByHash");
    if (looked >= 0 && asked.lastIndexOf("eth_getTransactionReceipt") > looked) return;
    assert.ok(Date.now() < deadline, `${count} transactions are not sent`);
    await setTimeout(10);
  }
}

/** How long a block takes when somebody waits for several, in milliseconds: the page looks at each of them. */
const PACE = 250;

/** Mines block after block while something is waited for. */
async function mineUntil(waiting) {
  const deadline = Date.now() + 30_000;
  const still = Symbol();
  for (;;) {
    await node.mine();
    const outcome = await Promise.race([waiting, setTimeout(PACE, still)]);
    if (outcome !== still) return outcome;
    assert.ok(Date.now() < deadline, "it goes on for ever");
  }
}

describe("topUpChannel", () => {
  it("by ERC223 adds to the deposit and leaves the balance as it is", async () => {
    const sender = await stage.opened();
    const { page, storage } = sender;
    await page.incrementBalanceAndSign(40n);
    const before = storage.content;
    sender.wallet.requests.length = 0;
    const hash = await page.topUpChannel(11n);
    assert.deepEqual(selectors(sender), [TRANSFER]);
    assert.equal(hash, sender.wallet.sent.at(-1));
    assert.equal(await depositOnChain(sender), 111n);
    assert.deepEqual(storage.content, before);
    assert.equal((await page.getChannelInfo()).deposit, 111n);
  });

  it("by ERC20 approves and tops up", async () => {
    for (const market of [plain, grudging]) {
      const sender = await stage.opened({ market });
      await sender.page.topUpChannel(11n);
      assert.deepEqual(selectors(sender), [APPROVE, TOP_UP]);
      assert.equal(await depositOnChain(sender), 111n);
    }
  });

  it("refuses nothing, too much, and what the contract would not take", async () => {
    const sender = await stage.opened({ tokens: 200n });
    await failure(sender.page.topUpChannel(0n), "invalid-amount");
    await failure(sender.page.topUpChannel(101n), "not-enough-tokens", /Token balance = 0\.0000000000000001 , required/);
    assert.equal(sender.wallet.sent.length, 1);
    assert.equal(await depositOnChain(sender), 100n);
    const limit = await read(usual.contract, "channel_deposit_bugbounty_limit");
    const wealthy = await stage.opened({ tokens: 2n * limit, deposit: limit - 5n });
    await failure(wealthy.page.topUpChannel(6n), "invalid-amount", /deposit is at most 100/);
    await wealthy.page.topUpChannel(5n);
    assert.equal(await depositOnChain(wealthy), limit);
  });

  it("refuses a channel that is being closed, or is settled", async () => {
    const sender = await stage.opened();
    await stage.transact(usual.contract, "uncooperativeClose", [sender.receiver.address, sender.page.channel.block, 0n], sender.key);
    await failure(sender.page.topUpChannel(1n), "wrong-state", /^Tried topping up closed channel$/);
    await node.mine(502);
    await stage.transact(usual.contract, "settle", [sender.receiver.address, sender.page.channel.block], sender.key);
    await failure(sender.page.topUpChannel(1n), "wrong-state", /^Tried topping up settled channel$/);
  });

  it("of a channel that the chain does not know says so", async () => {
    const sender = await stage.sender();
    sender.page.setChannel({ account: sender.address, receiver: stranger().address, block: 1, proof: { balance: 0n } });
    await failure(sender.page.topUpChannel(1n), "channel-not-found", /^Invalid channel deposit/);
  });
});

describe("buyToken", () => {
  it("is for tokens that can be minted only", async () => {
    assert.equal(await (await stage.sender({ tokens: 0n })).page.canBuyToken(), true);
    assert.equal(await (await stage.sender({ tokens: 0n, market: plain })).page.canBuyToken(), false);
  });

  it("mints 50 tokens for 0.1 ether", async () => {
    const sender = await stage.sender({ tokens: 0n });
    const receipt = await sender.page.buyToken(sender.address);
    assert.equal(receipt.status, "success");
    const { balance, decimals, name, symbol } = await sender.page.getTokenInfo(sender.address);
    assert.deepEqual([balance, decimals, name, symbol], [50n * 10n ** 18n, 18, "Test Token", "TKN"]);
    const ether = BigInt(await node.ask("eth_getBalance", sender.address, "latest"));
    assert.ok(ether < 10n ** 19n - 10n ** 17n && ether > 10n ** 19n - 2n * 10n ** 17n);
  });

  it("says so when the token cannot be minted, or there is no ether", async () => {
    const other = await stage.sender({ market: plain });
    await failure(other.page.buyToken(other.address), "transaction-failed", /mint has failed/);
    const poor = await stage.sender({ ether: "0.05", tokens: 0n });
    await failure(poor.page.buyToken(poor.address), "provider-failed");
    assert.deepEqual([...other.wallet.sent, ...poor.wallet.sent], []);
  });
});
