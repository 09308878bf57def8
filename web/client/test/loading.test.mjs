// Channels that are found on the chain, and the sources that a page may reach it through.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UNSUPPORTED } from "../../test-wallet.mjs";
import { MicroRaiden, nodeProvider, providerOf } from "../dist/index.js";
import { CHALLENGE, Storage, failure, intercept, setStage, stranger } from "./stage.mjs";

const stage = await setStage();
const { node, usual } = stage;

/** The same sender on another machine, where nothing is stored. */
async function elsewhere({ wallet }, options) {
  const page = stage.openPage(wallet, options);
  await page.getChallengePeriod();
  return page;
}

const close = (sender, block, balance = 0n) =>
  stage.transact(usual.contract, "uncooperativeClose", [sender.receiver.address, block, balance], sender.key);

describe("loadChannelFromBlockchain", () => {
  it("finds the open channel, at balance 0, and keeps it", async () => {
    const sender = await stage.opened();
    const storage = new Storage();
    const page = await elsewhere(sender, { storage });
    await page.loadChannelFromBlockchain(sender.address, sender.receiver.address);
    assert.deepEqual(page.channel, sender.page.channel);
    assert.equal((await elsewhere(sender, { storage })).loadStoredChannel(sender.address, sender.receiver.address), true);
  });

  it("finds none for others", async () => {
    const sender = await stage.opened();
    const page = await elsewhere(sender);
    const [one, other] = [stranger().address, stranger().address];
    for (const parties of [[sender.address, one], [one, sender.receiver.address], [one, other], [sender.receiver.address, sender.address]]) {
      await failure(page.loadChannelFromBlockchain(...parties), "channel-not-found", /^No channel found for this account$/);
    }
    assert.equal(page.channel, undefined);
  });

  it("leaves out what is settled, or in its challenge period, and takes what can be settled", async () => {
    const sender = await stage.opened();
    const page = await elsewhere(sender);
    const load = () => page.loadChannelFromBlockchain(sender.address, sender.receiver.address);
    const { block } = sender.page.channel;
    await close(sender, block);
    await failure(load(), "channel-not-found", /^No open and valid channels found from 1$/);
    await node.mine(CHALLENGE);
    await load();
    assert.equal(page.channel.block, block);
    await page.settleChannel();
    page.forgetStoredChannel();
    await failure(load(), "channel-not-found", /^No open and valid channels found from 1$/);
  });

  it("of several takes the one that is open", async () => {
    const sender = await stage.opened();
    const blocks = [sender.page.channel.block];
    for (let more = 0; more < 3; more++) {
      await sender.page.openChannel(sender.address, sender.receiver.address, 10n);
      blocks.push(sender.page.channel.block);
    }
    const [over, settled, open, inChallenge] = blocks;
    await close(sender, over);
    await close(sender, settled);
    await node.mine(CHALLENGE + 1);
    await stage.transact(usual.contract, "settle", [sender.receiver.address, settled], sender.key);
    await close(sender, inChallenge);
    const page = await elsewhere(sender);
    await page.loadChannelFromBlockchain(sender.address, sender.receiver.address);
    assert.equal(page.channel.block, open);
    await close(sender, open);
    await page.loadChannelFromBlockchain(sender.address, sender.receiver.address);
    assert.equal(page.channel.block, over);
  });

  it("asks a node that refuses long ranges for shorter ones, each block once", async () => {
    await node.mine(3_000);
    const sender = await stage.opened();
    const limit = 500n;
    const searched = [];
    const strict = intercept(sender.wallet, async (request, next) => {
      if (request.method === "eth_getLogs") {
        const [from, to] = [BigInt(request.params[0].fromBlock), BigInt(request.params[0].toBlock)];
        if (to - from + 1n > limit) throw Object.assign(new Error("query exceeds max block range 500"), { code: -32005 });
        searched.push([from, to]);
      }
      return next(request);
    });
    const page = stage.openPage(strict);
    await page.loadChannelFromBlockchain(sender.address, sender.receiver.address);
    assert.equal(page.channel.block, sender.page.channel.block);
    assert.equal(searched[0][0], 0n);
    for (const [index, [from]] of searched.entries()) if (index > 0) assert.equal(from, searched[index - 1][1] + 1n);
    assert.ok(searched.at(-1)[1] >= BigInt(page.channel.block));
  });

  it("searches from the contract's block", async () => {
    const sender = await stage.opened({ startBlock: usual.contract.block });
    const page = await elsewhere(sender, { startBlock: usual.contract.block });
    sender.wallet.requests.length = 0;
    await page.loadChannelFromBlockchain(sender.address, sender.receiver.address);
    const [{ params }] = sender.wallet.requests.filter(({ method }) => method === "eth_getLogs");
    assert.equal(Number(params[0].fromBlock), usual.contract.block);
  });

  it("says so when the node does not search at all, after few questions", async () => {
    const sender = await stage.opened();
    const page = await elsewhere(sender);
    sender.wallet.requests.length = 0;
    sender.wallet.fail("eth_getLogs", -32603, "no logs here");
    await failure(page.loadChannelFromBlockchain(sender.address, sender.receiver.address), "provider-failed", /no logs here/);
    assert.ok(sender.wallet.methods.filter((method) => method === "eth_getLogs").length < 30);
  });
});

describe("getChallengePeriod", () => {
  it("tells the period, and learns the network", async () => {
    const { page } = await stage.sender({ tokens: 0n });
    assert.equal(await page.getChallengePeriod(), CHALLENGE);
    assert.deepEqual([page.challenge, page.chainId], [CHALLENGE, node.chainId]);
  });

  it("says so when there is no channel contract", async () => {
    const { wallet } = await stage.sender({ tokens: 0n });
    const nothing = { contract: { address: stranger().address }, token: usual.token };
    const token = { contract: usual.token, token: usual.token };
    for (const market of [nothing, token]) {
      const page = stage.openPage(wallet, { market });
      await failure(page.getChallengePeriod(), "invalid-contract", /^Invalid challenge: no channel contract on this network$/);
      assert.equal(page.chainId, undefined);
    }
    wallet.answer("eth_call", () => `0x${"0".repeat(64)}`);
    await failure(stage.openPage(wallet).getChallengePeriod(), "invalid-contract", /^Invalid challenge$/);
  });
});

describe("accounts", () => {
  it("are shown once the user has connected them", async () => {
    const { wallet, address, page } = await stage.sender({ tokens: 0n });
    wallet.answer("eth_accounts", () => []);
    assert.deepEqual(await page.getAccounts(), []);
    assert.deepEqual(await page.requestAccounts(), [address]);
    wallet.allow();
    assert.deepEqual(await page.getAccounts(), [address]);
  });

  it("are not when the user says no", async () => {
    const { wallet, page } = await stage.sender({ tokens: 0n });
    wallet.deny("eth_requestAccounts");
    await failure(page.requestAccounts(), "user-denied", /^User denied: eth_requestAccounts$/);
  });

  it("of a provider that cannot ask are those that it has", async () => {
    const { wallet, address, page } = await stage.sender({ tokens: 0n });
    wallet.fail("eth_requestAccounts", UNSUPPORTED);
    assert.deepEqual(await page.requestAccounts(), [address]);
  });
});

describe("getTokenInfo", () => {
  it("tells name, symbol, decimals and what an account has", async () => {
    const market = await stage.market(undefined, [10n ** 40n, "Fine Token", "FINE", 36]);
    const { page, address } = await stage.sender({ market, tokens: 5n });
    const token = { name: "Fine Token", symbol: "FINE", decimals: 36 };
    assert.deepEqual(await page.getTokenInfo(), { ...token, balance: 0n });
    assert.deepEqual(await page.getTokenInfo(address), { ...token, balance: 5n });
    assert.equal(page.decimals, 36);
    assert.equal(page.tkn2num(5n), `0.${"0".repeat(35)}5`);
  });

  it("does without a name and decimals, as some tokens do; but not without an answer", async () => {
    const { wallet } = await stage.sender({ tokens: 0n });
    const nameless = intercept(wallet, (request, next) => {
      const isName = ["0x06fdde03", "0x95d89b41"].includes(request.params?.[0]?.data);
      return request.method === "eth_call" && isName ? "0x" : next(request);
    });
    assert.deepEqual(await stage.openPage(nameless).getTokenInfo(), { name: "", symbol: "", decimals: 18, balance: 0n });
    const market = { contract: usual.contract, token: usual.contract };
    assert.equal((await stage.openPage(wallet, { market }).getTokenInfo()).decimals, 0);
    const silent = intercept(wallet, (request, next) => {
      const isDecimals = request.params?.[0]?.data === "0x313ce567";
      return isDecimals ? Promise.reject(new Error("no answer")) : next(request);
    });
    await failure(stage.openPage(silent).getTokenInfo(), "provider-failed", /^decimals has failed/);
  });
});

describe("the source of the constructor", () => {
  const make = (source) =>
    new MicroRaiden(source, usual.contract.address, undefined, usual.token.address, undefined, 0, { storage: new Storage() });

  it("may be a provider, what holds one, or a node's address", async () => {
    const { wallet } = await stage.sender({ tokens: 0n });
    for (const source of [wallet, { currentProvider: wallet }, node.url, nodeProvider(node.url)]) {
      assert.equal(await make(source).getChallengePeriod(), CHALLENGE);
    }
  });

  it("without one is a node on this machine, as in 2018", async (t) => {
    const asked = t.mock.method(globalThis, "fetch", async () => Response.json({ jsonrpc: "2.0", id: 1, result: "0x1" }));
    for (const source of [undefined, null, ""]) await make(source).getAccounts();
    assert.deepEqual(asked.mock.calls.map(({ arguments: [url] }) => url), Array(3).fill("http://localhost:8545"));
  });

  it("that is no provider is refused", async () => {
    for (const source of [{}, { currentProvider: null }, { currentProvider: {} }, { request: 1 }, 5, true, () => {}]) {
      await failure(() => make(source), "invalid-provider", /^Invalid web3 provider$/);
      await failure(() => providerOf(source), "invalid-provider");
    }
  });

  it("that is a node's address tells the node's errors, and why a contract said no", async () => {
    const provider = nodeProvider(node.url);
    await assert.rejects(provider.request({ method: "no_suchMethod" }), ({ code }) => code === UNSUPPORTED);
    const sender = await stage.opened();
    const page = stage.openPage(node.url, { storage: sender.storage });
    await page.getChallengePeriod();
    page.loadStoredChannel(sender.address, sender.receiver.address);
    page.setBalance(101n);
    await failure(page.closeChannel(), "transaction-failed", /BalanceAboveDeposit/);
  });

  it("that nobody listens at fails as a provider does", async () => {
    await failure(make("http://127.0.0.1:1").getAccounts(), "provider-failed", /^eth_accounts has failed/);
  });
});
