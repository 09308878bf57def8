// From the first sight of a page that costs something to its content, and on to further pages.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { customersOf } from "./customers.mjs";
import { openShop } from "./shop.mjs";
import { openBrowser, visit, walletOf } from "./visitor.mjs";

const PRICE = 2n * 10n ** 15n;

const shop = await openShop();
const browser = await openBrowser();
const { customer, regular, held, signatures, transactions } = customersOf(shop, browser);

describe("the first visit", () => {
  it("leads from a wallet to the content, with one transaction and one signature", async (t) => {
    const visitor = await customer(t);
    await visitor.open("/story/1");
    await visitor.reaches("choose-wallet");
    assert.equal(await visitor.page.textContent("#wallets"), "Test Wallet");
    assert.deepEqual(visitor.wallet.methods, [], "no wallet is asked for anything without a click");
    await visitor.shot("choose-wallet");
    await visitor.isAccessible();
    await visitor.click("#wallets button");
    await visitor.reaches("missing");
    await visitor.shot("missing");
    await visitor.isAccessible();
    assert.equal(await visitor.page.inputValue("#deposit"), "0.04", "twenty pages are proposed");
    assert.match(await visitor.page.textContent("#deposit-hint"), /20 pages/);
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
    assert.match(await visitor.page.textContent("main"), /The paid text of story 1\./);
    assert.deepEqual([transactions(visitor), signatures(visitor)], [1, 1]);
    const [block] = await shop.channelsOf(visitor.address);
    assert.equal((await shop.channel(visitor.address, block)).deposit, 20n * PRICE);
    assert.equal(await held(visitor), PRICE);
  });

  it("then pays for the next pages by itself, once each", async (t) => {
    const visitor = await regular(t);
    for (const page of [2, 3]) {
      await visitor.click("#next");
      await visitor.reads(`Story ${page}`);
      assert.equal(await held(visitor), BigInt(page) * PRICE);
      assert.equal(signatures(visitor), page);
    }
    assert.equal(transactions(visitor), 1);
  });

  it("asks for each page when the visitor wants that", async (t) => {
    const visitor = await regular(t, { isAuto: false });
    await visitor.click("#next");
    await visitor.reaches("opened");
    assert.equal(await visitor.page.textContent("#left"), "0.038 TKN");
    assert.equal(await visitor.page.textContent("#spent"), "0.002 TKN");
    assert.equal(await visitor.page.textContent("#deposited"), "0.04 TKN");
    assert.equal(await held(visitor), PRICE);
    await visitor.shot("opened");
    await visitor.isAccessible();
    await visitor.page.uncheck("#auto");
    await visitor.click("#pay");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), 2n * PRICE);
  });

  it("is done by the keyboard alone", async (t) => {
    const visitor = await customer(t);
    await visitor.open("/story/1");
    await visitor.reaches("choose-wallet");
    const { page } = visitor;
    /** Goes on by the tabulator until something that fits has the focus. */
    const tabTo = async (selector) => {
      for (let step = 0; step < 20; step++) {
        await page.keyboard.press("Tab");
        if (await page.evaluate((selector) => document.activeElement?.matches(selector), selector)) return;
      }
      assert.fail(`the tabulator does not lead to ${selector}`);
    };
    await tabTo("#wallets button");
    await page.keyboard.press("Enter");
    await visitor.reaches("missing");
    await tabTo("#deposit");
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.type("0.01");
    await page.keyboard.press("Enter");
    await visitor.reads("Story 1");
    const [block] = await shop.channelsOf(visitor.address);
    assert.equal((await shop.channel(visitor.address, block)).deposit, 5n * PRICE);
  });
});

describe("wallets", () => {
  it("without one the page says so, and looks again when it is told to", async (t) => {
    const visitor = await visit(t, browser, shop);
    await visitor.open("/story/1");
    await visitor.reaches("no-wallet");
    await visitor.shot("no-wallet");
    await visitor.isAccessible();
    await visitor.click("#retry");
    await visitor.reaches("loading");
    await visitor.reaches("no-wallet");
  });

  it("that only stand at window.ethereum will do", async (t) => {
    const visitor = await regular(t, { wallet: { announces: false } });
    assert.equal(await held(visitor), PRICE);
  });

  it("are listed, and the one that is clicked is asked, and no other", async (t) => {
    const keys = [await shop.customer(), await shop.customer()];
    const wallets = keys.map((key, index) => walletOf(shop.node, [key], { name: `Wallet ${index}` }));
    const visitor = await visit(t, browser, shop, { wallets });
    await visitor.open("/story/1");
    await visitor.reaches("choose-wallet");
    assert.deepEqual(await visitor.page.locator("#wallets button").allTextContents(), ["Wallet 0", "Wallet 1"]);
    await visitor.click('#wallets button[data-rdns="test.wallet-1"]');
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
    assert.deepEqual(wallets[0].methods, []);
    assert.equal(await held(wallets[1]), PRICE);
    await visitor.click("#next");
    await visitor.reads("Story 2");
    assert.deepEqual(wallets[0].methods, [], "which was chosen is remembered");
  });
});

describe("a visitor who says no", () => {
  it("to connecting can say yes after all", async (t) => {
    const visitor = await customer(t);
    visitor.wallet.deny("eth_requestAccounts");
    await visitor.connect("/story/1");
    await visitor.reaches("connect");
    assert.match(await visitor.page.textContent("#notice"), /You declined in the wallet/);
    assert.equal(await visitor.page.textContent("#title"), "No accounts found!");
    await visitor.shot("connect");
    await visitor.isAccessible();
    visitor.wallet.allow();
    await visitor.click("#connect");
    await visitor.reaches("missing");
  });

  it("to the deposit has deposited nothing, and can go on", async (t) => {
    const visitor = await customer(t);
    visitor.wallet.deny("eth_sendTransaction");
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.page.waitForSelector("#notice:has-text('You declined in the wallet')");
    await visitor.reaches("missing");
    assert.deepEqual(await shop.channelsOf(visitor.address), []);
    visitor.wallet.allow();
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
  });

  it("to the signature has paid nothing, and is not asked again before a click", async (t) => {
    const visitor = await customer(t);
    visitor.wallet.deny("eth_signTypedData");
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reaches("opened");
    assert.match(await visitor.page.textContent("#notice"), /You declined in the wallet/);
    assert.equal(signatures(visitor), 1);
    assert.equal(await held(visitor), 0n);
    visitor.wallet.allow();
    await visitor.click("#pay");
    await visitor.reads("Story 1");
    assert.deepEqual([await held(visitor), transactions(visitor)], [PRICE, 1]);
  });
});

describe("a deposit", () => {
  it("that is no amount, or more than is owned, is refused with a reason", async (t) => {
    const visitor = await customer(t, { tokens: 10n ** 18n });
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    const refused = [
      ["", /is not an amount/],
      ["abc", /is not an amount/],
      ["0", /more than nothing/],
      ["-1", /is not an amount/],
      ["1e3", /is not an amount/],
      ["1,5", /is not an amount/],
      ["1.000000000000000001", /This account owns 1 TKN/],
      ["0.0000000000000000001", /more than the 18 decimals/],
      ["9".repeat(60), /more than a channel can hold/],
    ];
    for (const [text, reason] of refused) {
      await visitor.page.fill("#deposit", text);
      await visitor.click("#deposit-button");
      assert.match(await visitor.page.textContent("#deposit-hint"), reason, text);
      assert.equal(await visitor.page.getAttribute("#deposit", "aria-invalid"), "true", text);
      assert.equal(await visitor.state(), "missing");
    }
    assert.equal(transactions(visitor), 0);
    await visitor.shot("deposit-refused");
    await visitor.isAccessible();
    await visitor.page.fill("#deposit", "1");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
    assert.equal(await shop.tokensOf(visitor.address), 0n);
  });

  it("of tokens that are not there begins with buying some", async (t) => {
    const visitor = await customer(t, { tokens: 0n });
    await visitor.connect("/story/1");
    await visitor.reaches("buy");
    await visitor.shot("buy");
    await visitor.isAccessible();
    await visitor.click("#buy");
    await visitor.reaches("missing");
    assert.equal(await visitor.page.textContent("#balance"), "50 TKN");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
  });
});

describe("a channel", () => {
  it("that does not cover the next page is topped up from the page", async (t) => {
    const visitor = await customer(t);
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    await visitor.page.fill("#deposit", "0.003");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 1");
    await visitor.click("#next");
    await visitor.reaches("topup");
    assert.equal(await visitor.page.textContent("#title"), "Insufficient funds");
    await visitor.shot("topup");
    await visitor.isAccessible();
    await visitor.page.fill("#deposit", "0.001");
    await visitor.click("#deposit-button");
    await visitor.reads("Story 2");
    const [block] = await shop.channelsOf(visitor.address);
    assert.equal((await shop.channel(visitor.address, block)).deposit, 2n * PRICE);
    assert.equal(await held(visitor), 2n * PRICE);
  });

  it("whose record is lost is found on the chain, and its balance at the server", async (t) => {
    const visitor = await regular(t);
    await visitor.page.evaluate(() => localStorage.clear());
    await visitor.click("#next");
    await visitor.reaches("choose-wallet");
    await visitor.click("#wallets button");
    await visitor.reaches("opened");
    await visitor.click("#pay");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), 2n * PRICE);
    assert.equal(transactions(visitor), 1);
  });
});
