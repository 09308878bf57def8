// Prices that differ, change, are odd, or are known only afterwards.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { customersOf } from "./customers.mjs";
import { openShop } from "./shop.mjs";
import { openBrowser } from "./visitor.mjs";

const PRICE = 2n * 10n ** 15n;
const MILLI = 10n ** 15n;
const TOKENS = 10n ** 18n;
/** A price above 2^53 base units, and odd: as a number it would lose its last digit. */
const ODD = 9_007_199_254_740_993n;

/** Beside what has one price: a dearer page, one whose price has many digits, and one that costs what its answer says. */
const settings = (upstream, price) => `
[[route]]
path = "/{*rest}"
upstream = "${upstream}"
price = "${price}"

[[route]]
path = "/dear/{*rest}"
upstream = "${upstream}"
price = "0.01 TKN"

[[route]]
path = "/odd/{*rest}"
upstream = "${upstream}"
price = "0.009007199254740993 TKN"

[[route]]
path = "/metered/{*rest}"
upstream = "${upstream}"
price = "0.01 TKN"
[route.metering]
units = [{ header = "x-used", price = "0.001 TKN" }]
`;

const shop = await openShop({ settings });
shop.content.page("/dear/1", "A dear page");
for (const page of [1, 2, 3]) shop.content.page(`/odd/${page}`, `Odd ${page}`, `<a id="next" href="/odd/${page + 1}">On</a>`);
for (const page of [1, 2]) shop.content.page(`/metered/${page}`, `Metered ${page}`, "", { "x-used": "3" });
const browser = await openBrowser();
const { customer, regular, held, signatures, transactions } = customersOf(shop, browser);

/** Closes by agreement; gives what was asked of the server for it. */
async function close(visitor) {
  await visitor.click("#close");
  await visitor.page.waitForSelector("dialog[open]");
  const [request] = await Promise.all([
    visitor.page.waitForRequest((request) => request.method() === "DELETE"),
    visitor.click("#dialog-yes"),
  ]);
  await visitor.reaches("settled");
  return request.postDataJSON();
}

describe("a price", () => {
  it("above the one that was agreed to asks, and is paid by a click", async (t) => {
    const visitor = await regular(t);
    await visitor.open("/dear/1");
    await visitor.reaches("opened");
    assert.equal(await visitor.page.textContent("#pay"), "Pay 0.01 TKN");
    assert.equal(signatures(visitor), 1, "only what was agreed to is signed without a click");
    assert.equal(await held(visitor), PRICE);
    await visitor.page.uncheck("#auto");
    await visitor.click("#pay");
    await visitor.reads("A dear page");
    assert.equal(await held(visitor), PRICE + 10n * MILLI);
    assert.deepEqual([signatures(visitor), transactions(visitor)], [2, 1]);
  });

  it("that rises between the page and the payment is not paid before it is agreed to", async (t) => {
    const visitor = await regular(t, { isAuto: false });
    await visitor.click("#next");
    await visitor.reaches("opened");
    assert.equal(await visitor.page.textContent("#pay"), "Pay 0.002 TKN");
    t.after(() => shop.proxy.sell("0.002 TKN"));
    await shop.proxy.sell("0.003 TKN");
    // It would pay further pages without asking, but none that is dearer than this.
    await visitor.page.check("#auto");
    await visitor.click("#pay");
    await visitor.page.waitForSelector("#notice:has-text('The price has changed while you paid. Nothing was charged')");
    await visitor.reaches("opened");
    await visitor.shot("price-changed");
    await visitor.isAccessible();
    assert.equal(await visitor.page.textContent("#pay"), "Pay 0.003 TKN");
    assert.equal(await held(visitor), PRICE, "nothing was charged");
    await visitor.click("#pay");
    await visitor.reads("Story 2");
    assert.equal(await held(visitor), PRICE + 3n * MILLI);
  });

  it("above 2^53 with odd digits is exact in every signature, and on the chain", async (t) => {
    const tokens = 40n * ODD + 1n;
    const visitor = await customer(t, { tokens });
    await visitor.connect("/odd/1");
    await visitor.reaches("missing");
    assert.equal(await visitor.page.textContent("h1"), "This page costs 0.009007199254740993 TKN");
    assert.equal(await visitor.page.inputValue("#deposit"), "0.18014398509481986");
    await visitor.page.fill("#deposit", "0.123456789012345679");
    assert.equal(await visitor.page.textContent("#deposit-hint"), "Pays for 13 pages at this price.");
    await visitor.shot("missing-digits");
    await visitor.click("#deposit-button");
    await visitor.reads("Odd 1");
    const [block] = await shop.channelsOf(visitor.address);
    assert.equal((await shop.channel(visitor.address, block)).deposit, 123_456_789_012_345_679n);
    for (const page of [2, 3]) {
      await visitor.click("#next");
      await visitor.reads(`Odd ${page}`);
    }
    assert.equal(await held(visitor), 3n * ODD);
    await visitor.open("/dear/1");
    await visitor.reaches("opened");
    assert.equal(await visitor.page.textContent("#spent"), "0.027021597764222979 TKN");
    assert.equal(await visitor.page.textContent("#left"), "0.0964351912481227 TKN");
    await visitor.shot("opened-digits");
    const earned = await shop.tokensOf(shop.receiver);
    assert.equal((await close(visitor)).balance, "27021597764222979");
    assert.equal(await shop.tokensOf(visitor.address), tokens - 3n * ODD);
    assert.equal(await shop.tokensOf(shop.receiver), earned + 3n * ODD);
  });
});

describe("a page that costs what its answer says", () => {
  it("leaves credit, which the next one uses and the close gives back", async (t) => {
    const visitor = await customer(t, { tokens: TOKENS });
    await visitor.connect("/metered/1");
    await visitor.reaches("missing");
    await visitor.click("#deposit-button");
    await visitor.reads("Metered 1");
    assert.equal(await held(visitor), 10n * MILLI, "the most that it may cost");
    await visitor.open("/metered/2");
    await visitor.reads("Metered 2");
    assert.equal(await held(visitor), 13n * MILLI, "7 of 10 came from the credit");
    await visitor.page.evaluate(() => localStorage.removeItem(Object.keys(localStorage).find((name) => name.startsWith("microraiden|auto"))));
    await visitor.open("/story/1");
    await visitor.reaches("opened");
    assert.equal(await visitor.page.textContent("#spent"), "0.006 TKN");
    assert.equal(await visitor.page.textContent("#left"), "0.194 TKN");
    assert.equal((await close(visitor)).balance, String(6n * MILLI));
    assert.equal(await shop.tokensOf(visitor.address), TOKENS - 6n * MILLI);
  });
});
