// Servers that wait, are away, have lost what they knew, or lie.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { customersOf } from "./customers.mjs";
import { eventually, openShop } from "./shop.mjs";
import { openBrowser } from "./visitor.mjs";

const PRICE = 2n * 10n ** 15n;

/** How many blocks must lie above a deposit here. */
const CONFIRMATIONS = 20;

const shop = await openShop({ options: ["--confirmations", String(CONFIRMATIONS)] });
const browser = await openBrowser();
const { customer, regular, held, blockOf, signatures, transactions } = customersOf(shop, browser);

/** Mines blocks until the page waits for more of them than it has seen. */
async function untilUnconfirmed(visitor) {
  await eventually("page that waits for confirmations", async () => {
    if ((await visitor.state()) === "unconfirmed") return true;
    await shop.node.mine();
    return false;
  });
}

describe("a deposit that is not confirmed yet", () => {
  it("is waited for, and the page goes on by itself", async (t) => {
    const visitor = await customer(t);
    await visitor.connect("/story/1");
    await visitor.reaches("missing");
    await shop.node.hold(t);
    await visitor.click("#deposit-button");
    await visitor.reaches("opening");
    await visitor.shot("opening");
    await eventually("transaction", () => transactions(visitor) === 1);
    await untilUnconfirmed(visitor);
    assert.equal(await visitor.page.textContent("#title"), "Waiting confirmations...");
    await visitor.shot("unconfirmed");
    await visitor.isAccessible();
    assert.equal(signatures(visitor), 0, "what cannot be sold yet is not paid");
    await shop.node.mine(CONFIRMATIONS);
    await visitor.reads("Story 1");
    assert.equal(await held(visitor), PRICE);
  });

  it("on top of another is waited for as well", async (t) => {
    const visitor = await regular(t, { isAuto: false, deposit: "0.003" });
    await visitor.click("#next");
    await visitor.reaches("topup");
    const block = await blockOf(visitor);
    await shop.node.hold(t);
    await visitor.click("#deposit-button");
    await eventually("transaction", () => transactions(visitor) === 2);
    await untilUnconfirmed(visitor);
    assert.ok((await shop.channel(visitor.address, block)).deposit > 2n * PRICE);
    await shop.node.mine(CONFIRMATIONS);
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), 2n * PRICE);
  });
});

describe("a server", () => {
  it("that is away for a while is paid when it is back, once", async (t) => {
    const visitor = await regular(t, { isAuto: false, allowed: [/^Failed to load resource/] });
    await visitor.click("#next");
    await visitor.reaches("opened");
    await shop.proxy.kill();
    await visitor.click("#pay");
    await visitor.reaches("away").finally(() => shop.proxy.start());
    assert.equal(signatures(visitor), 1, "nothing is signed for a server that is not there");
    assert.equal(await held(visitor), PRICE, "what it was paid before it has kept");
    await visitor.click("#retry");
    await visitor.reaches("opened");
    await visitor.click("#pay");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), 2n * PRICE);
  });

  it("that has lost its state file is paid on", async (t) => {
    const visitor = await regular(t);
    shop.proxy.forget();
    await shop.proxy.restart();
    await visitor.click("#next");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), PRICE, "it cannot claim what it does not remember");
    await visitor.click("#next");
    await visitor.reads("Story 3");
    assert.equal(await held(visitor), 2n * PRICE);
  });

  it("that claims more than was signed is not paid", async (t) => {
    const visitor = await regular(t, { isAuto: false });
    const signed = signatures(visitor);
    await visitor.page.route("**/story/2", async (route) => {
      if (route.request().method() !== "HEAD") return route.continue();
      const response = await route.fetch();
      return route.fulfill({ response, headers: { ...response.headers(), "rdn-sender-balance": String(3n * PRICE) } });
    });
    await visitor.click("#next");
    await visitor.reaches("away");
    assert.match(await visitor.page.textContent("#text"), /you have not signed\. Nothing is paid to it/);
    assert.equal(signatures(visitor), signed);
    assert.equal(await held(visitor), PRICE);
  });
});

describe("two tabs at once", () => {
  it("both get their pages, and pay one price each", async (t) => {
    const visitor = await regular(t);
    const other = await visitor.tab();
    await Promise.all([visitor.open("/story/2"), other.open("/story/3")]);
    await Promise.all([visitor.reads("Story 2"), other.reads("Story 3")]);
    assert.equal(await held(visitor), 3n * PRICE);
    assert.equal(transactions(visitor), 1);
  });
});

describe("a paid page", () => {
  it("that is loaded again within the minute is not paid again", async (t) => {
    const visitor = await regular(t);
    await visitor.page.reload();
    await visitor.reads("Story 1");
    assert.equal(signatures(visitor), 1);
    assert.equal(await held(visitor), PRICE);
  });
});
