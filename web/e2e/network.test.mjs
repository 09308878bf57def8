// Wallets on other networks, accounts that change, and contracts that are not there.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { privateKeyToAccount } from "viem/accounts";
import { startNode } from "../test-node.mjs";
import { customersOf } from "./customers.mjs";
import { openShop } from "./shop.mjs";
import { openBrowser, visit, walletOf } from "./visitor.mjs";

const PRICE = 2n * 10n ** 15n;

const shop = await openShop();
const elsewhere = await startNode({ chainId: 1_337 });
after(() => elsewhere.stop());
const browser = await openBrowser();
const { customer, regular, held, signatures, transactions } = customersOf(shop, browser);

describe("a wallet on another network", () => {
  it("is asked to switch, and then pays", async (t) => {
    const visitor = await customer(t, { nodes: [elsewhere, shop.node] });
    await visitor.connect("/story/1");
    await visitor.reaches("wrong-network");
    assert.match(await visitor.page.textContent("#text"), /chain ID 31337/);
    await visitor.shot("wrong-network");
    await visitor.isAccessible();
    await visitor.click("#switch");
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
    assert.equal(await held(visitor), PRICE);
  });

  it("that is switched by its user goes on by itself", async (t) => {
    const visitor = await customer(t, { nodes: [elsewhere, shop.node] });
    await visitor.connect("/story/1");
    await visitor.reaches("wrong-network");
    visitor.wallet.chooseNetwork(shop.node.chainId);
    await visitor.reaches("missing");
    visitor.wallet.chooseNetwork(elsewhere.chainId);
    await visitor.reaches("wrong-network");
    assert.equal(transactions(visitor), 0);
  });

  it("may decline to switch", async (t) => {
    const visitor = await customer(t, { nodes: [elsewhere, shop.node] });
    visitor.wallet.deny("wallet_switchEthereumChain");
    await visitor.connect("/story/1");
    await visitor.reaches("wrong-network");
    await visitor.click("#switch");
    await visitor.page.waitForSelector("#notice:has-text('You declined in the wallet')");
    await visitor.reaches("wrong-network");
  });

  it("that does not know the network is told its chain ID", async (t) => {
    const visitor = await customer(t, { nodes: [elsewhere] });
    await visitor.connect("/story/1");
    await visitor.reaches("wrong-network");
    await visitor.click("#switch");
    await visitor.page.waitForSelector("#notice:has-text('Add the network with chain ID 31337')");
    await visitor.reaches("wrong-network");
  });
});

describe("the channel contract", () => {
  it("that is not there is looked for until it is", async (t) => {
    const visitor = await customer(t);
    visitor.wallet.answer("eth_call", () => "0x");
    await visitor.connect("/story/1");
    await visitor.reaches("invalid-contract");
    await visitor.shot("invalid-contract");
    await visitor.isAccessible();
    visitor.wallet.allow();
    await visitor.reaches("missing");
  });

  it("whose node fails is an error that can be tried again", async (t) => {
    const visitor = await customer(t);
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    visitor.wallet.fail("eth_chainId", -32603, "the node is on fire");
    await visitor.open("/story/1");
    await visitor.reaches("error");
    assert.match(await visitor.page.textContent("#text"), /the node is on fire/);
    assert.ok(!(await visitor.page.isVisible("#notice")), "it is said once");
    await visitor.shot("error");
    await visitor.isAccessible();
    visitor.wallet.allow();
    await visitor.click("#retry");
    await visitor.reaches("missing");
  });
});

describe("accounts", () => {
  it("are chosen in the page, each with its own channel", async (t) => {
    const keys = [await shop.customer(), await shop.customer()];
    const [first, second] = keys.map((key) => privateKeyToAccount(key).address);
    const visitor = await visit(t, browser, shop, { wallets: [walletOf(shop.node, keys)] });
    await visitor.open("/story/1");
    await visitor.reaches("choose-wallet");
    await visitor.click("#wallets button");
    await visitor.reaches("missing");
    await visitor.page.uncheck("#auto");
    await visitor.page.selectOption("#account", second);
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
    assert.equal(await held({ address: second }), PRICE);
    assert.deepEqual(await shop.channelsOf(first), []);
  });

  it("that are switched in the wallet are taken over by the page", async (t) => {
    const visitor = await regular(t, { isAuto: false });
    await visitor.click("#next");
    await visitor.reaches("opened");
    const other = await shop.customer();
    visitor.wallet.chooseAccounts([other]);
    await visitor.reaches("missing");
    assert.equal(await visitor.page.inputValue("#account"), privateKeyToAccount(other).address);
    visitor.wallet.chooseAccounts([visitor.key]);
    await visitor.reaches("opened");
    await visitor.click("#pay");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), 2n * PRICE);
    assert.equal(signatures(visitor), 2);
  });

  it("that are locked are asked for again", async (t) => {
    const visitor = await regular(t);
    visitor.wallet.answer("eth_accounts", () => []);
    await visitor.click("#next");
    await visitor.reaches("connect");
    visitor.wallet.allow();
    await visitor.click("#connect");
    await visitor.reads("Story 2");
  });
});
